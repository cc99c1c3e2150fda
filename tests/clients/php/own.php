<?php

/** What only the client of PHP has: objects, options, lifetimes as PSR-16 has them, processes. */

declare(strict_types=1);

require_once getenv('CLIENTS') . '/php/Cache.php';

use CacheApi\Cache;

final class Bomb
{
    public static int $awoke = 0;

    public function __wakeup(): void
    {
        self::$awoke++;
    }
}

function cache(array $options = []): Cache
{
    return new Cache(getenv('CACHE'), getenv('KEY'), $options + [
        'timeout' => 60, 'connect_timeout' => 60, 'transport' => $GLOBALS['argv'][1],
    ]);
}

function refused(callable $do): string
{
    try {
        $do();
    } catch (InvalidArgumentException $error) {
        return $error->getMessage();
    }
    return 'nothing';
}

$plain = cache();
$signed = cache(['secret' => 'one']);
$told = [];
$wrong = new Cache(getenv('CACHE'), 'wrong', [
    'timeout' => 60, 'connect_timeout' => 60, 'transport' => $argv[1],
    'on_error' => function (string $what) use (&$told) { $told[] = $what; },
]);
$found = ['values' => [], 'refused' => []];
foreach ([new ArrayObject(['a' => 1]), "\x00\xff", [1, ["\xff", INF]], new DateTimeImmutable('@0')] as $value) {
    $found['values'][] = $signed->set('own', $value, 60) && $signed->get('own') == $value;
    $found['refused'][] = str_starts_with(refused(fn () => $plain->set('own', $value)), 'JSON cannot carry');
}
$found['closure'] = refused(fn () => $signed->set('own', fn () => 1));

// Only what was signed, for this key, with this secret, is unserialized.
$signed->set('bomb', new Bomb(), 60);
$stored = $plain->get('bomb');
$plain->set('moved', $stored, 60);
$plain->set('forged', ['hmac' => str_repeat('0', 64)] + $stored, 60);
$found['never'] = [
    is_array($stored), is_array($signed->get('moved')), is_array($signed->get('forged')),
    is_array(cache(['secret' => 'two'])->get('bomb')), Bomb::$awoke,
];
$found['ours'] = [$signed->get('bomb') instanceof Bomb, Bomb::$awoke];

$plain->set('over', 1, 60);
$found['over'] = [$plain->set('over', 2, 0), $plain->has('over'), $plain->add('over', 1, -5),
    $plain->remember('over', 0, fn () => 3), $plain->has('over')];
$found['interval'] = [$plain->set('day', 1, new DateInterval('P1D')), $plain->get('day')];
$found['big'] = $plain->get('big');
$found['float'] = [$plain->set('float', 1.0, 60), $plain->get('float') === 1.0];
$found['option'] = refused(fn () => cache(['timeuot' => 1]));
$found['key'] = refused(fn () => new Cache('http://127.0.0.1', "two\r\nlines"));
$wrong->get('a');
$wrong->set('a', 1);
$found['told'] = [$told, $wrong->lastError];

// A process that was forked has a connection of its own.
$child = pcntl_fork();
for ($number = 0; $number < 50; $number++) {
    $key = ($child === 0 ? 'child' : 'parent') . $number;
    if (!$plain->set($key, $key, 60) || $plain->get($key) !== $key) {
        exit(1);
    }
}
if ($child === 0) {
    exit(0);
}
pcntl_waitpid($child, $status);
$found['child'] = pcntl_wexitstatus($status);
echo json_encode($found, JSON_THROW_ON_ERROR);
