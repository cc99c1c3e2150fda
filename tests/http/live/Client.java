import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;

/** Java's own client: it offers HTTP/2 with each request, as those do that are built on it. */
public class Client {
    private static final HttpClient CLIENT = HttpClient.newHttpClient();
    private static String url, key;

    private static void call(String method, String path, BodyPublisher body) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(url + path))
            .header("X-DreamFactory-API-Key", key)
            .header("Content-Type", "application/json")
            .method(method, body)
            .build();
        var answer = CLIENT.send(request, BodyHandlers.ofString());
        System.out.println(answer.statusCode() + " " + answer.body());
    }

    private static BodyPublisher length(String text) {
        return BodyPublishers.ofString(text);
    }

    private static BodyPublisher chunked(String text) {
        return BodyPublishers.ofInputStream(() -> new java.io.ByteArrayInputStream(text.getBytes()));
    }

    public static void main(String[] arguments) throws Exception {
        url = arguments[0];
        key = arguments[1];
        BodyPublisher none = BodyPublishers.noBody();
        String list = "{\"resource\":[\"a\",\"b\"]}";
        call("POST", "", length("{\"key\":\"a\",\"value\":1}"));
        call("POST", "", chunked("{\"key\":\"b\",\"value\":2}"));
        call("POST", "/c", length("{\"value\":3}"));
        call("PUT", "/c", chunked("{\"value\":4}"));
        call("GET", "/c", none);
        call("DELETE", "", chunked(list));
        call("GET", "?keys=a,b,c", none);
        call("DELETE", "", chunked(""));
        call("GET", "/c", none);
        call("DELETE", "", none);
        call("GET", "/c", none);
    }
}
