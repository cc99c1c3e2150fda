<?php

/** Run the cases of the table on the client of PHP; `stream` as an argument takes PHP's own streams. */

declare(strict_types=1);

require __DIR__ . '/../php/Cache.php';

use CacheApi\Cache;
use CacheApi\CacheError;
use CacheApi\InvalidArgument;

final class Failed extends Exception {}

function act(Cache $cache, string $name, array $with): mixed
{
    $options = $name === 'remember' && count($with) === 4 ? array_pop($with) : [];
    $with = array_map(fn ($one) => $one === 'forever' ? Cache::FOREVER : $one, $with);
    switch ($name) {
        case 'get':
            return $cache->get($with[0], '<absent>');
        case 'get_many':
            $found = $cache->getMultiple($with[0], '<absent>');
            return (object) array_filter($found, fn ($value) => $value !== '<absent>');
        case 'until_absent':
        case 'until_present':
            $until = microtime(true) + 60;
            $wanted = $name === 'until_present';
            while ($cache->has($with[0]) !== $wanted && microtime(true) < $until) {
                usleep(100_000);
            }
            return microtime(true) < $until;
        case 'ttl_within':
            $left = $cache->ttl($with[0]);
            return $left !== null && $left >= $with[1] && $left <= $with[2];
        case 'ttl':
            $left = $cache->ttl($with[0]);
            return $left === Cache::FOREVER ? 'forever' : $left;
        case 'perform':
            array_walk_recursive($with[0], function (mixed &$one): void {
                $one = $one === 'forever' ? Cache::FOREVER : $one;
            });
            return $cache->perform($with[0]);
        case 'last_error':
            return $cache->lastError;
        case 'remember_failing':
            return $cache->remember($with[0], $with[1], fn () => throw new Failed());
        case 'remember_slowly':
            return $cache->remember($with[0], $with[1], function () use ($with) {
                file_put_contents($with[2], "run\n", FILE_APPEND);
                sleep(1);
                return 'computed';
            });
        case 'remember':
            $computed = 0;
            $value = $cache->remember($with[0], $with[1], function () use ($with, &$computed) {
                $computed++;
                return $with[2];
            }, ...$options);
            return ['value' => $value, 'computed' => $computed];
    }
    // PHP's own words for many, and for an argument that is left out.
    $method = lcfirst(str_replace('_', '', ucwords(str_replace(['_many', '_tagged'], ['_multiple', ''], $name), '_')));
    return $cache->$method(...$with);
}

function run(array $case): array
{
    $cache = new Cache($case['url'], $case['key'], [
        'connect_timeout' => 60, 'timeout' => $case['timeout'] ?? 60, 'strict' => $case['strict'] ?? false,
        'on_error' => fn () => null,
        'transport' => $GLOBALS['argv'][1] ?? 'curl',
    ]);
    $outcomes = [];
    foreach ($case['steps'] as $step) {
        try {
            $outcomes[] = ['gives' => act($cache, $step['do'], $step['with'])];
        } catch (CacheError) {
            $outcomes[] = ['raises' => 'CacheError'];
        } catch (Failed) {
            $outcomes[] = ['raises' => 'Failed'];
        } catch (InvalidArgument) {
            $outcomes[] = ['raises' => 'Invalid'];
        }
    }
    return $outcomes;
}

$cases = json_decode(stream_get_contents(STDIN), true, 512, JSON_THROW_ON_ERROR);
echo json_encode(array_map(run(...), $cases), JSON_PRESERVE_ZERO_FRACTION | JSON_THROW_ON_ERROR);
