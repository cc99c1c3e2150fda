#!/bin/sh
# spymemcached 2.12.3 (Debian 12, Java): one incr of what is no number cancels all that other threads have asked.
#
# A client has one connection to a server, for all threads. To "incr" of a text memcached answers "CLIENT_ERROR
# cannot increment or decrement non-numeric value", and goes on. spymemcached gives the caller an exception, and
# then drops the connection: every operation that was sent behind it ends as "Cancelled", whoever's it is. The
# server had them all: counts that were cancelled are counted, and who repeats them counts twice. An Integer
# that spymemcached itself stored is no number to memcached, so that such a count is easily met. (This is
# its default, the text protocol; over the binary one the wrong count is -1, as if the key were absent.)
#
# Seen: '10 times a number: of 2000 other counts 2000 done, 0 cancelled; counted 2000'; '10 times a text: of 2000
# other counts 0 done, 2000 cancelled; counted 2000' (or, one time in three, 1,831 cancelled).
set -eu
folder=$(mktemp -d)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
memcached -u "$(id -un)" -l 127.0.0.1 -p "$port" -U 0 & pid=$!
trap 'kill $pid; rm -rf "$folder"' EXIT
(cd "$folder" && apt-get download -qq -o APT::Sandbox::User=root libspymemcached-java=2.12.3+dfsg-3 \
    && dpkg -x libspymemcached-java_*.deb .)
cat >"$folder/Seen.java" <<'JAVA'
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.logging.Level;
import java.util.logging.Logger;
import net.spy.memcached.MemcachedClient;

class Seen {
    public static void main(String[] sent) throws Exception {
        Logger.getLogger("net.spy").setLevel(Level.OFF);
        System.setProperty("net.spy.log.LoggerImpl", "net.spy.memcached.compat.log.SunLogger");
        MemcachedClient client = new MemcachedClient(
            new InetSocketAddress("127.0.0.1", Integer.parseInt(sent[0])));
        client.set("number", 0, "1").get();
        client.set("text", 0, "hello").get();
        client.set("counter", 0, "0").get();
        for (String key : new String[] {"number", "text"}) {
            int cancelled = 0;
            int done = 0;
            client.set("counter", 0, "0").get();
            for (int round = 0; round < 10; round++) {
                // While these are read, the next are sent together.
                for (int number = 0; number < 300; number++) {
                    client.asyncGet("number");
                }
                Future<Long> first = client.asyncIncr(key, 1);
                List<Future<Long>> others = new ArrayList<>();
                for (int number = 0; number < 200; number++) {
                    others.add(client.asyncIncr("counter", 1));
                }
                try {
                    first.get(10, TimeUnit.SECONDS);
                } catch (ExecutionException error) {
                    // "CLIENT_ERROR cannot increment or decrement non-numeric value"
                }
                for (Future<Long> other : others) {
                    try {
                        other.get(10, TimeUnit.SECONDS);
                        done++;
                    } catch (ExecutionException error) {
                        cancelled += error.getCause().getMessage().equals("Cancelled") ? 1 : 0;
                    }
                }
            }
            int counted = Integer.parseInt(client.get("counter").toString());
            System.out.printf("10 times a %s: of 2000 other counts %d done, %d cancelled; counted %d%n",
                key, done, cancelled, counted);
            boolean text = key.equals("text");
            if (text ? cancelled == 0 || counted <= done : cancelled != 0 || counted != 2000) {
                System.exit(1);
            }
        }
        System.exit(0);
    }
}
JAVA
java -cp "$folder/usr/share/java/spymemcached.jar" "$folder/Seen.java" "$port"
echo "spymemcached 2.12.3: as described"
