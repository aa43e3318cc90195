package clients;

import java.util.List;
import java.util.Map;
import org.apache.hc.core5.http.HttpHost;
import org.opensearch.client.json.JsonData;
import org.opensearch.client.opensearch.OpenSearchClient;
import org.opensearch.client.opensearch._types.Refresh;
import org.opensearch.client.opensearch._types.query_dsl.Query;
import org.opensearch.client.opensearch.core.BulkRequest;
import org.opensearch.client.opensearch.core.MsearchRequest;
import org.opensearch.client.opensearch.core.search.Hit;
import org.opensearch.client.opensearch.core.SearchRequest;
import org.opensearch.client.transport.httpclient5.ApacheHttpClient5Transport;
import org.opensearch.client.transport.httpclient5.ApacheHttpClient5TransportBuilder;

/** opensearch-java. */
public final class Typed {
    public static void main(String[] arguments) throws Exception {
        String index = arguments[1];
        try (ApacheHttpClient5Transport transport =
                ApacheHttpClient5TransportBuilder.builder(HttpHost.create(arguments[0])).build()) {
            OpenSearchClient client = new OpenSearchClient(transport);
            BulkRequest.Builder bulk = new BulkRequest.Builder().refresh(Refresh.True);
            for (int n = 0; n < Answers.DOCUMENTS.size(); n++) {
                String id = String.valueOf(n);
                Map<String, Object> document = Answers.DOCUMENTS.get(n);
                bulk.operations(operation -> operation.index(to -> to.index(index).id(id).document(document)));
            }
            boolean hasFailures = client.bulk(bulk.build()).errors();

            Query question = Query.of(query -> query.multiMatch(
                match -> match.query(Answers.QUESTION).fields(List.of(Answers.FIELDS))));
            Query recent = Query.of(query -> query.bool(both -> both.must(question)
                .filter(with -> with.range(year -> year.field("year").gte(JsonData.of(2002))))));

            var two = client.search(SearchRequest.of(of -> of.index(index).query(question).size(2)), Map.class);
            var filtered = client.search(SearchRequest.of(of -> of.index(index).query(recent).size(1)), Map.class);
            var counted = client.search(SearchRequest.of(of -> of.index(index).query(question).size(1)
                .aggregations("years", years -> years.terms(terms -> terms.field("year")))), Map.class);
            var several = client.msearch(MsearchRequest.of(of -> of
                .searches(one -> one.header(in -> in.index(index)).body(body -> body.query(question).size(1)))
                .searches(one -> one.header(in -> in.index(index)).body(body -> body.query(recent).size(1)))),
                Map.class);
            new Answers()
                .put("bulk_failed", hasFailures)
                .put("question", titles(two.hits().hits()))
                .put("filtered", titles(filtered.hits().hits()))
                .put("counted", titles(counted.hits().hits()))
                .put("years", counted.aggregations().get("years").lterms().buckets().array().stream()
                    .map(bucket -> Integer.valueOf(bucket.key())).toList())
                .put("several", several.responses().stream()
                    .map(response -> titles(response.result().hits().hits())).toList())
                .fields("hit", keys(two.hits().hits().get(0).source()))
                .fields("document", keys(client.get(of -> of.index(index).id("0"), Map.class).source()))
                .print();
        }
    }

    private static List<Object> titles(List<Hit<Map>> hits) {
        return hits.stream().map(hit -> hit.source().get("title")).toList();
    }

    @SuppressWarnings("unchecked")
    private static java.util.Set<String> keys(Map<?, ?> source) {
        return (java.util.Set<String>) source.keySet();
    }
}
