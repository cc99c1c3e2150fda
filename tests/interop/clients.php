<?php
// php-memcached and php-redis: clients.php memcached|redis PORT put|get JSON, prints JSON.
// Each value is stored under VARIANT:NAME, by each way in which such a client stores it.
[, $driver, $port, $verb, $sent] = $argv;
$values = json_decode($sent, true);
$found = [];
if ($driver === 'memcached') {
    $plain = [Memcached::OPT_COMPRESSION => false];
    $packed = [Memcached::OPT_COMPRESSION => true];
    $variants = [
        'php' => $plain + [Memcached::OPT_SERIALIZER => Memcached::SERIALIZER_PHP],
        'igbinary' => $plain + [Memcached::OPT_SERIALIZER => Memcached::SERIALIZER_IGBINARY],
        'json' => $plain + [Memcached::OPT_SERIALIZER => Memcached::SERIALIZER_JSON],
        'msgpack' => $plain + [Memcached::OPT_SERIALIZER => Memcached::SERIALIZER_MSGPACK],
        'fastlz' => $packed + [Memcached::OPT_SERIALIZER => Memcached::SERIALIZER_PHP,
            Memcached::OPT_COMPRESSION_TYPE => Memcached::COMPRESSION_FASTLZ],
        'zlib' => $packed + [Memcached::OPT_SERIALIZER => Memcached::SERIALIZER_PHP,
            Memcached::OPT_COMPRESSION_TYPE => Memcached::COMPRESSION_ZLIB],
        'fastlz igbinary' => $packed + [Memcached::OPT_SERIALIZER => Memcached::SERIALIZER_IGBINARY,
            Memcached::OPT_COMPRESSION_TYPE => Memcached::COMPRESSION_FASTLZ],
    ];
    foreach ($variants as $variant => $options) {
        $client = new Memcached();
        $client->addServer('127.0.0.1', (int) $port);
        foreach ($options as $option => $value) {
            if (!$client->setOption($option, $value)) {
                continue 2;
            }
        }
        foreach ($values as $name => $value) {
            $key = strtr("$variant:$name", ' ', '-');
            if ($verb === 'put') {
                $found[$key] = $client->set($key, $value, 600);
            } else {
                $read = $client->get(strtr($name, ' ', '-'));
                $found[$key] = [gettype($read), $read];
            }
        }
    }
} else {
    $variants = ['php' => Redis::SERIALIZER_PHP, 'igbinary' => Redis::SERIALIZER_IGBINARY];
    foreach ($variants as $variant => $serializer) {
        $client = new Redis();
        $client->connect('127.0.0.1', (int) $port);
        $client->setOption(Redis::OPT_SERIALIZER, $serializer);
        foreach ($values as $name => $value) {
            $found[strtr("$variant:$name", ' ', '-')] = $client->set(strtr("$variant:$name", ' ', '-'), $value);
        }
    }
}
echo json_encode($found, JSON_PRESERVE_ZERO_FRACTION);
