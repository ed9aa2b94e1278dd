// Counts the words of each message: a handler in Java, with the JDK alone.

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URLDecoder;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;

public final class Handler {
    private static final Pattern SPACE = Pattern.compile("\\s+", Pattern.UNICODE_CHARACTER_CLASS);
    private static final Object CHANGED = new Object();
    private static int running = 0; // calls; guarded by CHANGED

    // What this handler is for. Throws CharacterCodingException if the body is not text.
    private static String count(byte[] body, String session, int attempt) throws CharacterCodingException {
        var text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(body));
        long words = SPACE.splitAsStream(text).filter(word -> !word.isEmpty()).count();
        return "{\"words\":" + words + ",\"bytes\":" + body.length + ",\"session\":" + quoted(session)
            + ",\"attempt\":" + attempt + "}";
    }

    // 200 is done, 422 is never going to work, 5xx would be tried again.
    private static void serve(HttpExchange call) throws IOException {
        byte[] body = call.getRequestBody().readAllBytes(); // throws if it is cut off: half a message is none
        if (!call.getRequestMethod().equals("POST") || !call.getRequestURI().getRawPath().equals("/message")) {
            answer(call, 404, "text/plain", "only POST /message is served here\n");
            return;
        }
        String result;
        try {
            String session = header(call, "Kubedaemon-Session", "").replace("+", "%2B"); // a plus is no space here
            int attempt = Integer.parseInt(header(call, "Kubedaemon-Attempt", "1"));
            result = count(body, URLDecoder.decode(session, StandardCharsets.UTF_8), attempt);
        } catch (CharacterCodingException | IllegalArgumentException error) {
            answer(call, 422, "text/plain", "the message cannot be read: " + error + "\n");
            return;
        }
        answer(call, 200, "application/json", result);
    }

    private static String header(HttpExchange call, String name, String otherwise) {
        String value = call.getRequestHeaders().getFirst(name);
        return value == null ? otherwise : value;
    }

    private static void answer(HttpExchange call, int status, String type, String text) throws IOException {
        byte[] body = text.getBytes(StandardCharsets.UTF_8);
        call.getResponseHeaders().set("Content-Type", type);
        call.sendResponseHeaders(status, body.length);
        call.getResponseBody().write(body);
    }

    // A string of JSON.
    private static String quoted(String text) {
        var json = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') json.append('\\').append(c);
            else if (c < ' ') json.append(String.format("\\u%04x", (int) c));
            else json.append(c);
        }
        return json.append('"').toString();
    }

    private static void changeRunning(int by) {
        synchronized (CHANGED) {
            running += by;
            CHANGED.notifyAll();
        }
    }

    // Running calls are answered; open connections do not keep the program. halt(), since SIGTERM would end it with 143.
    private static void stop(HttpServer server) {
        var closing = new Thread(() -> server.stop((int) TimeUnit.DAYS.toSeconds(1))); // closes the door, then waits
        closing.setDaemon(true);
        closing.start();
        try {
            synchronized (CHANGED) {
                while (running > 0) CHANGED.wait();
            }
        } catch (InterruptedException error) {
            Runtime.getRuntime().halt(1);
        }
        Runtime.getRuntime().halt(0);
    }

    public static void main(String[] arguments) throws IOException {
        System.setProperty("sun.net.httpserver.nodelay", "true"); // else each answer can wait 40 ms
        System.setProperty("sun.net.httpserver.idleInterval", "60"); // seconds: longer than callers keep a connection
        int port = Integer.parseInt(System.getenv().getOrDefault("PORT", "8080"));
        var server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), 128);
        server.setExecutor(Executors.newCachedThreadPool());
        server.createContext("/", call -> {
            changeRunning(1);
            try (call) {
                serve(call);
            } finally {
                changeRunning(-1);
            }
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> stop(server)));
        server.start();
    }
}
