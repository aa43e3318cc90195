package clients;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;

/** What each client writes and asks, and the one line of JSON that it prints. */
final class Answers {
    static final String QUESTION = "why do cats make noises";
    static final String[] FIELDS = {"title^2", "abstract"};
    static final List<Map<String, Object>> DOCUMENTS = List.of(
        document("Felines purr", "A kitten sounds like this when it is content", 2001),
        document("Dogs bark", "A hound warns strangers", 2002),
        document("Interest rates", "The central bank raised them to fight inflation", 2003));

    private final Map<String, Object> all = new LinkedHashMap<>();

    private static Map<String, Object> document(String title, String text, int year) {
        return Map.of("title", title, "abstract", text, "year", year);
    }

    Answers put(String name, Object value) {
        all.put(name, value);
        return this;
    }

    Answers fields(String name, Collection<String> fields) {
        return put(name, new TreeSet<>(fields));
    }

    void print() throws Exception {
        System.out.println(new ObjectMapper().writeValueAsString(all));
    }
}
