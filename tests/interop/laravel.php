<?php
// A cache of Laravel's: laravel.php memcached|redis PORT put|get|count JSON, prints JSON.
// A warning is an exception, as in a framework.
set_error_handler(function ($number, $text) { throw new ErrorException($text); });
require 'Illuminate/Cache/autoload.php';
require 'Illuminate/Redis/autoload.php';
[, $driver, $port, $verb, $sent] = $argv;
if ($driver === 'memcached') {
    $client = new Memcached();
    $client->addServer('127.0.0.1', (int) $port);
    $store = new Illuminate\Cache\MemcachedStore($client, '');
} else {
    // RedisStore needs no more of a factory than its connections.
    $server = ['host' => '127.0.0.1', 'port' => (int) $port, 'database' => 0];
    $redis = new Illuminate\Redis\RedisManager(null, 'phpredis', ['default' => $server]);
    $store = new Illuminate\Cache\RedisStore($redis, '');
}
$cache = new Illuminate\Cache\Repository($store);
$found = [];
foreach (json_decode($sent, true) as $key => $value) {
    if ($verb === 'put') {
        $found[$key] = $cache->put($key, $value, 600);
    } elseif ($verb === 'count') {
        $found[$key] = $cache->increment($key);
    } else {
        $read = $store->get($key);
        // What PHP has, which JSON alone would not tell.
        $found[$key] = [gettype($read), $read];
    }
}
echo json_encode($found, JSON_PRESERVE_ZERO_FRACTION);
