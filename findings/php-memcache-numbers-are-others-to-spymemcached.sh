#!/bin/sh
# PHP's extension memcache 8.0 (pecl) and spymemcached 2.12.3 (Debian 12): they note the same types for numbers in other bytes.
#
# memcached keeps 32 bits of flags beside each value, and its protocol document leaves their meaning to the clients. Both
# write 256, 768 and 1792 for a boolean, a long and a double. What they write as the value is decimal text here and big-endian
# bytes there, so neither sees anything wrong: Java gets another number without an error, and PHP 0.0 and 0. Booleans and
# texts agree. On the server each number of PHP's can be counted, and none of Java's.
#
# Seen: PHP's 42 is 13362 to Java, 1.5 is 1.5924195E-317, true is true, "42" is 42 as text; Java's 42 is 0 to PHP, 1.5 is
# 0.0, true is true, "42" is "42".
set -eu
folder=$(mktemp -d)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
memcached -u "$(id -un)" -l 127.0.0.1 -p "$port" -U 0 & server=$!
trap 'kill $server; rm -rf "$folder"' EXIT
(cd "$folder" && apt-get download -qq -o APT::Sandbox::User=root libspymemcached-java=2.12.3+dfsg-3 \
    php8.2-memcache=8.0+4.0.5.2+3.0.9~20170802.e702b5f9+-8 && for package in *.deb; do dpkg -x "$package" .; done)
cat >"$folder/Seen.java" <<'JAVA'
import java.net.InetSocketAddress;
import java.util.logging.Level;
import java.util.logging.Logger;
import net.spy.memcached.MemcachedClient;

public class Seen {
    public static void main(String[] arguments) throws Exception {
        System.setProperty("net.spy.log.LoggerImpl", "net.spy.memcached.compat.log.SunLogger");
        Logger.getLogger("net.spy").setLevel(Level.OFF);
        MemcachedClient client = new MemcachedClient(
            new InetSocketAddress("127.0.0.1", Integer.parseInt(arguments[0])));
        StringBuilder seen = new StringBuilder();
        for (String key : new String[] {"long", "double", "boolean", "text"}) {
            Object value = client.get("php-" + key);
            seen.append(value.getClass().getSimpleName()).append(' ').append(value).append(", ");
        }
        System.out.println(seen);
        client.set("java-long", 60, 42L).get();
        client.set("java-double", 60, 1.5).get();
        client.set("java-boolean", 60, true).get();
        client.set("java-text", 60, "42").get();
        client.shutdown();
        System.exit(0);
    }
}
JAVA
cat >"$folder/seen.php" <<'PHP'
<?php
error_reporting(E_ALL & ~E_DEPRECATED);
[, $port, $do] = $argv;
$memcache = new Memcache();
$memcache->connect('127.0.0.1', (int) $port);
if ($do === 'set') {
    foreach (['long' => 42, 'double' => 1.5, 'boolean' => true, 'text' => '42'] as $name => $value) {
        $memcache->set("php-$name", $value, 0, 60) || exit(1);
    }
} else {
    foreach (['long', 'double', 'boolean', 'text'] as $name) {
        echo var_export($memcache->get("java-$name"), true), ', ';
    }
    echo "\n";
}
PHP
sleep 1
php() {
    command php -n -d "extension=$(find "$folder" -name memcache.so)" "$folder/seen.php" "$port" "$1"
}
php set
to_java=$(java -cp "$(find "$folder/usr/share/java" -name 'spymemcached*.jar' | head -1)" "$folder/Seen.java" "$port")
to_php=$(php get)
echo "PHP's 42, 1.5, true, '42' to Java: $to_java"
echo "Java's 42, 1.5, true, '42' to PHP: $to_php"
test "$to_java" = "Long 13362, Double 1.5924195E-317, Boolean true, String 42, "
test "$to_php" = "0, 0.0, true, '42', "
echo "pecl memcache 8.0 and spymemcached 2.12.3: as described"
