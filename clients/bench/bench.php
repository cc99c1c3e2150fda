<?php

/** As bench.py: prints the number of requests, the seconds, and the seconds of the processor. */

declare(strict_types=1);

require __DIR__ . '/../php/Cache.php';

[, $transport, $url, $key, $seconds] = $argv;
$cache = new CacheApi\Cache($url, $key, [
    'transport' => $transport, 'timeout' => 60, 'connect_timeout' => 60, 'strict' => true,
]);
function used(): float
{
    $usage = getrusage();
    return $usage['ru_utime.tv_sec'] + $usage['ru_stime.tv_sec']
        + ($usage['ru_utime.tv_usec'] + $usage['ru_stime.tv_usec']) / 1e6;
}

for ($count = 0; $count < 500; $count++) {
    $cache->get('bench');
}
$started = microtime(true);
$used = used();
for ($count = 0; microtime(true) < $started + (float) $seconds; $count++) {
    $cache->get('bench') === str_repeat('v', 230) || exit(1);
}
echo implode(' ', [$count, microtime(true) - $started, used() - $used]), "\n";
