#!/bin/sh
# PHP's extension memcache 8.0 (pecl, Debian 12's php8.2-memcache) with memcached 1.6.18: a float alone loses all digits after the 14th.
#
# PHP keeps a float with all its digits wherever it serialises one. The extension writes one that is the value itself with 14
# digits at most, whatever "precision" says. So microtime(true) comes back up to 50
# microseconds off, whole numbers of more than 14 digits come back as others (a count of bytes or nanoseconds that was
# divided once is a float), what was set is not === to what is got, and set() says true. The same float within an array is
# exact, and so are integers.
#
# Seen, with precision 14 and 17: '1795919917.123456 -> 1795919917.1235, in an array 1795919917.123456',
# '1234567890123456.0 -> 1234567890123500.0', '100000000000000.5 -> 100000000000000.0', '0.30000000000000004 -> 0.3'.
set -eu
folder=$(mktemp -d)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
memcached -u "$(id -un)" -l 127.0.0.1 -p "$port" -U 0 & server=$!
trap 'kill $server; rm -rf "$folder"' EXIT
(cd "$folder" && apt-get download -qq -o APT::Sandbox::User=root \
    php8.2-memcache=8.0+4.0.5.2+3.0.9~20170802.e702b5f9+-8 && dpkg -x ./*.deb .)
cat >"$folder/seen.php" <<'PHP'
<?php
error_reporting(E_ALL & ~E_DEPRECATED);
$memcache = new Memcache();
$memcache->connect('127.0.0.1', (int) $argv[1]);
$shown = fn (float $number): string => var_export($number, true);
$expected = [
    [1795919917.123456, 1795919917.1235],
    [1234567890123456.0, 1234567890123500.0],
    [100000000000000.5, 100000000000000.0],
    [0.1 + 0.2, 0.3],
];
foreach (['14', '17'] as $precision) {
    ini_set('precision', $precision);
    foreach ($expected as [$float, $changed]) {
        $told = $memcache->set('alone', $float, 0, 60) && $memcache->set('within', [$float], 0, 60);
        [$alone, $within] = [$memcache->get('alone'), $memcache->get('within')[0]];
        echo "precision $precision: {$shown($float)} -> {$shown($alone)}, in an array {$shown($within)}\n";
        if (!$told || $within !== $float || $alone !== $changed) {
            exit(1);
        }
    }
}
PHP
sleep 1
php -n -d "extension=$(find "$folder" -name memcache.so)" "$folder/seen.php" "$port"
echo "pecl memcache 8.0: as described"
