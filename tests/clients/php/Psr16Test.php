<?php

/** The tests of PSR-16 that php-cache keeps for all implementations, on a live service. */

declare(strict_types=1);

require_once 'Psr/SimpleCache/autoload.php';
require_once 'Cache/IntegrationTests/autoload.php';
require_once getenv('CLIENTS') . '/php/Cache.php';

final class Psr16Test extends Cache\IntegrationTests\SimpleCacheTest
{
    public function createSimpleCache()
    {
        return new CacheApi\Cache(getenv('CACHE'), getenv('KEY'), [
            'connect_timeout' => 60, 'timeout' => 60, 'secret' => 'of the test',
        ]);
    }

    /** What PSR-16 reserves is taken, as in user:1: the keys are those of other programs, too. */
    public static function invalidArrayKeys()
    {
        $reserved = fn ($case) => is_string($case[0]) && strpbrk($case[0], '{}()/\\@:') !== false;
        return array_filter(parent::invalidArrayKeys(), fn ($case) => !$reserved($case));
    }

    public static function invalidKeys()
    {
        return array_merge(self::invalidArrayKeys(), [[2]]);
    }

    public function testIsWhatItSays(): void
    {
        $this->assertInstanceOf(Psr\SimpleCache\CacheInterface::class, $this->cache);
        $this->expectException(Psr\SimpleCache\InvalidArgumentException::class);
        $this->cache->get('');
    }
}
