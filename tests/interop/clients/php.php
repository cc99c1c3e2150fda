<?php
// Clients of PHP's: php.php CLIENT PORT put|get, prints JSON.
set_error_handler(function ($number, $text) { throw new ErrorException($text); });
[, $client, $port, $verb] = $argv;
$samples = [
    "'hello'" => 'hello', "'42'" => '42', '42' => 42, '1.5' => 1.5, 'true' => true,
    'false' => false, 'null' => null, "['a' => 1]" => ['a' => 1], '[1]' => [1],
    'an object' => (object) ['a' => 1], '3000 x' => str_repeat('x', 3000), 'INF' => INF,
];
[$library, $kind] = explode(' ', "$client ");
if ($library === 'symfony') {
    require 'Symfony/Component/Cache/autoload.php';
}
if ($library === 'laravel') {
    require 'Illuminate/Cache/autoload.php';
    require 'Illuminate/Redis/autoload.php';
}
if ($library === 'php-memcached' || $kind === 'memcached') {
    $cache = new Memcached();
    $cache->addServer('127.0.0.1', (int) $port);
    $serializers = ['igbinary' => Memcached::SERIALIZER_IGBINARY, 'json' => Memcached::SERIALIZER_JSON];
    $cache->setOption(Memcached::OPT_SERIALIZER, $serializers[$kind] ?? Memcached::SERIALIZER_PHP);
    if ($kind === 'zlib') {
        $cache->setOption(Memcached::OPT_COMPRESSION_TYPE, Memcached::COMPRESSION_ZLIB);
    }
} else {
    $cache = new Redis();
    $cache->connect('127.0.0.1', (int) $port);
    $serializers = ['php' => Redis::SERIALIZER_PHP, 'igbinary' => Redis::SERIALIZER_IGBINARY];
    $cache->setOption(Redis::OPT_SERIALIZER, $serializers[$kind] ?? Redis::SERIALIZER_NONE);
}
$put = fn ($key, $value) => $cache->set($key, $value);
$get = fn ($key) => $cache->get($key);
if ($library === 'laravel') {
    if ($kind === 'redis') {
        $server = ['host' => '127.0.0.1', 'port' => (int) $port, 'database' => 0];
        $redis = new Illuminate\Redis\RedisManager(null, 'phpredis', ['default' => $server]);
        $store = new Illuminate\Cache\RedisStore($redis, '');
    } else {
        $store = new Illuminate\Cache\MemcachedStore($cache, '');
    }
    $put = fn ($key, $value) => $store->put($key, $value, 600);
    $get = fn ($key) => $store->get($key);
}
if ($library === 'symfony') {
    $pool = $kind === 'redis'
        ? new Symfony\Component\Cache\Adapter\RedisAdapter($cache)
        : new Symfony\Component\Cache\Adapter\MemcachedAdapter($cache);
    $put = fn ($key, $value) => $pool->save($pool->getItem($key)->set($value));
    $get = fn ($key) => $pool->getItem($key)->get();
}
// On memcached Symfony puts five random letters before each key, others after each flush.
$placed = fn ($key) => $key;
if ($client === 'symfony memcached') {
    $version = fn () => $this->namespaceVersion;
    $scope = Symfony\Component\Cache\Adapter\AbstractAdapter::class;
    $placed = fn ($key) => Closure::bind($version, $pool, $scope)() . $key;
}
$found = [];
if ($verb === 'put') {
    $number = 0;
    foreach ($samples as $label => $value) {
        $key = 'c' . $number++;
        try {
            $put($key, $value);
            $found[$label] = $placed($key);
        } catch (Throwable $error) {
            $found[$label] = get_class($error) . ': not stored';
        }
    }
} else {
    foreach (json_decode(stream_get_contents(STDIN)) as $name) {
        try {
            $found[$name] = substr(preg_replace('/\s+/', ' ', var_export($get($name), true)), 0, 40);
        } catch (Throwable $error) {
            $found[$name] = 'exception ' . get_class($error);
        }
    }
}
echo json_encode($found);
