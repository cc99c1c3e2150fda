#!/bin/sh
# php-memcached 3.2.0 (Debian 12): what is no number is 0 without a word where the flags say a number.
#
# The extension notes the type of a value in the item's flags (1 an integer, 2 a float). Other clients use
# the same numbers for something else: Node's "memcached" writes JSON with the flags 2. PHP then reads
# {"a":1} as float 0, with the result code SUCCESS, no warning and no exception; with the flags 1 as int 0.
# And its own INF it writes as the text "Infinity", which it reads back as INF, but which PHP itself
# would not take for a number.
#
# Seen: float(0), result SUCCESS, for the text {"a":1}; INF is stored as the eight bytes "Infinity".
set -eu
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
memcached -u "$(id -un)" -l 127.0.0.1 -p "$port" -U 0 &
pid=$!
trap 'kill $pid' EXIT
sleep 1
php -r '
[$port] = array_slice($argv, 1);
$plain = fsockopen("127.0.0.1", (int) $port);
foreach ([1, 2] as $flags) {
    fwrite($plain, "set k$flags $flags 0 7\r\n{\"a\":1}\r\n");
    if (fgets($plain) !== "STORED\r\n") {
        exit(2);
    }
}
$client = new Memcached();
$client->addServer("127.0.0.1", (int) $port);
foreach ([1, 2] as $flags) {
    var_dump($client->get("k$flags"), $client->getResultMessage());
}
$client->set("inf", INF);
fwrite($plain, "get inf\r\n");
echo $head = fgets($plain), $value = fgets($plain);
var_dump($client->get("inf"), is_numeric(trim($value)));
exit($client->get("k2") === 0.0 && $client->getResultCode() === 0 && $client->get("k1") === 0
    && trim($value) === "Infinity" ? 0 : 1);
' "$port"
echo "php-memcached 3.2.0: as described"
