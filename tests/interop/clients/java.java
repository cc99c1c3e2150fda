// Clients of Java's: java.java CLIENT PORT put|get, prints JSON; started with spymemcached on the class path.
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.Date;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.StringJoiner;
import java.util.logging.Level;
import java.util.logging.Logger;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import net.spy.memcached.MemcachedClient;

class Interop {
    static String quoted(String text) {
        return '"' + text.replace("\\", "\\\\").replace("\"", "\\\"") + '"';
    }

    public static void main(String[] sent) throws Exception {
        Logger.getLogger("net.spy").setLevel(Level.OFF);
        System.setProperty("net.spy.log.LoggerImpl", "net.spy.memcached.compat.log.SunLogger");
        MemcachedClient cache =
            new MemcachedClient(new InetSocketAddress("127.0.0.1", Integer.parseInt(sent[1])));
        StringJoiner found = new StringJoiner(",", "{", "}");
        if (sent[2].equals("put")) {
            Map<String, Object> samples = new LinkedHashMap<>();
            samples.put("\"hello\"", "hello");
            samples.put("\"42\"", "42");
            samples.put("Integer 42", 42);
            samples.put("Integer 57", 57);
            samples.put("Long 42", 42L);
            samples.put("Double 1.5", 1.5);
            samples.put("Float 1.5", 1.5f);
            samples.put("Boolean true", true);
            samples.put("Date", new Date(1700000000000L));
            samples.put("byte[]", new byte[] {1, 2});
            samples.put("HashMap", new HashMap<>(Map.of("a", 1)));
            samples.put("20000 x", "x".repeat(20000));
            int number = 0;
            for (Map.Entry<String, Object> sample : samples.entrySet()) {
                String key = "c" + number++;
                boolean done = cache.set(key, 600, sample.getValue()).get();
                found.add(quoted(sample.getKey()) + ":" + quoted(done ? key : "not stored"));
            }
        } else {
            String names = new String(System.in.readAllBytes(), StandardCharsets.UTF_8);
            Matcher each = Pattern.compile("\"([^\"]*)\"").matcher(names);
            while (each.find()) {
                String seen;
                try {
                    Object value = cache.get(each.group(1));
                    String kind = value == null ? "" : value.getClass().getSimpleName() + " ";
                    seen = kind + value;
                } catch (RuntimeException error) {
                    seen = "exception " + error.getClass().getSimpleName();
                }
                String start = seen.substring(0, Math.min(40, seen.length()));
                found.add(quoted(each.group(1)) + ":" + quoted(start));
            }
        }
        System.out.println(found);
        cache.shutdown();
        System.exit(0);
    }
}
