#!/bin/sh
# Apache HttpClient 4.5.14 (Debian 12), CachingHttpClients: "/a%2Fb" and "/a/b" are one entry, whoever came first.
#
# An escaped slash is data within one step of a path, a plain one parts two steps; they are not equivalent (RFC 3986,
# section 2.2), and interfaces rely on it: "/projects/group%2Fname" is one project by its path, "/projects/group/name" something
# else. On the wire HttpClient sends both as they are. The key of its cache takes the escapes away and puts them
# anew, the same for both, so that the answer to one is a hit for the other, for its whole lifetime. In a query
# they are kept apart.
#
# Seen: '/a%2Fb -> /a%2Fb', '/a/b -> /a%2Fb', '/c/d -> /c/d', '/c%2Fd -> /c/d', 2 requests at the origin; without the
# cache each gets its own; '/?x=1%262 -> /?x=1%262', '/?x=1&2 -> /?x=1&2'.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
(cd "$folder" && apt-get download -qq -o APT::Sandbox::User=root libhttpclient-java=4.5.14-1 libhttpcore-java=4.4.16-1 \
    libcommons-logging-java=1.2-3 libcommons-codec-java=1.15-1 && for package in *.deb; do dpkg -x "$package" .; done)
cat >"$folder/Seen.java" <<'JAVA'
import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.http.client.methods.CloseableHttpResponse;
import org.apache.http.client.methods.HttpGet;
import org.apache.http.impl.client.CloseableHttpClient;
import org.apache.http.impl.client.HttpClients;
import org.apache.http.impl.client.cache.CachingHttpClients;
import org.apache.http.util.EntityUtils;

public class Seen {
    static String base;

    static String ask(CloseableHttpClient client, String path) throws Exception {
        try (CloseableHttpResponse answer = client.execute(new HttpGet(base + path))) {
            String body = EntityUtils.toString(answer.getEntity());
            System.out.println(path + " -> " + body);
            return body;
        }
    }

    static void expect(Object seen, Object expected) {
        if (!expected.equals(seen)) {
            System.out.println("not as described: " + seen + " instead of " + expected);
            System.exit(1);
        }
    }

    public static void main(String[] arguments) throws Exception {
        AtomicInteger asked = new AtomicInteger();
        HttpServer origin = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
        origin.createContext("/", exchange -> {
            asked.incrementAndGet();
            byte[] body = exchange.getRequestURI().toString().getBytes();
            exchange.getResponseHeaders().set("Cache-Control", "max-age=60");
            exchange.sendResponseHeaders(200, body.length);
            exchange.getResponseBody().write(body);
            exchange.close();
        });
        origin.start();
        base = "http://127.0.0.1:" + origin.getAddress().getPort();
        CloseableHttpClient plain = HttpClients.createDefault();
        for (String path : new String[] {"/a%2Fb", "/a/b", "/c/d", "/c%2Fd"}) {
            expect(ask(plain, path), path);
        }
        asked.set(0);
        CloseableHttpClient cached = CachingHttpClients.createMemoryBound();
        expect(ask(cached, "/a%2Fb"), "/a%2Fb");
        expect(ask(cached, "/a/b"), "/a%2Fb");
        expect(ask(cached, "/c/d"), "/c/d");
        expect(ask(cached, "/c%2Fd"), "/c/d");
        expect(asked.get(), 2);
        expect(ask(cached, "/?x=1%262"), "/?x=1%262");
        expect(ask(cached, "/?x=1&2"), "/?x=1&2");
        System.exit(0);
    }
}
JAVA
java=$folder/usr/share/java
java -cp "$java/httpclient.jar:$java/httpclient-cache.jar:$java/httpcore.jar:$java/commons-logging.jar:$java/commons-codec.jar" \
    -Dorg.apache.commons.logging.Log=org.apache.commons.logging.impl.NoOpLog "$folder/Seen.java"
echo "Apache HttpClient 4.5.14: as described"
