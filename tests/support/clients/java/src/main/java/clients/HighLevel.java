package clients;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.http.HttpHost;
import org.opensearch.action.bulk.BulkRequest;
import org.opensearch.action.get.GetRequest;
import org.opensearch.action.index.IndexRequest;
import org.opensearch.action.search.MultiSearchRequest;
import org.opensearch.action.search.MultiSearchResponse;
import org.opensearch.action.search.SearchRequest;
import org.opensearch.action.search.SearchResponse;
import org.opensearch.action.support.WriteRequest.RefreshPolicy;
import org.opensearch.client.RequestOptions;
import org.opensearch.client.RestClient;
import org.opensearch.client.RestHighLevelClient;
import org.opensearch.index.query.QueryBuilder;
import org.opensearch.index.query.QueryBuilders;
import org.opensearch.search.SearchHit;
import org.opensearch.search.aggregations.AggregationBuilders;
import org.opensearch.search.aggregations.bucket.terms.Terms;
import org.opensearch.search.builder.SearchSourceBuilder;

/** RestHighLevelClient. */
public final class HighLevel {
    public static void main(String[] arguments) throws Exception {
        String index = arguments[1];
        try (RestHighLevelClient client = new RestHighLevelClient(RestClient.builder(HttpHost.create(arguments[0])))) {
            BulkRequest bulk = new BulkRequest(index).setRefreshPolicy(RefreshPolicy.IMMEDIATE);
            for (int n = 0; n < Answers.DOCUMENTS.size(); n++) {
                bulk.add(new IndexRequest().id(String.valueOf(n)).source(Answers.DOCUMENTS.get(n)));
            }
            boolean hasFailures = client.bulk(bulk, RequestOptions.DEFAULT).hasFailures();

            QueryBuilder question = QueryBuilders.multiMatchQuery(Answers.QUESTION).field("title", 2).field("abstract");
            QueryBuilder recent = QueryBuilders.boolQuery()
                .must(question).filter(QueryBuilders.rangeQuery("year").gte(2002));
            SearchRequest first = of(index, new SearchSourceBuilder().query(question).size(1));
            SearchRequest filtered = of(index, new SearchSourceBuilder().query(recent).size(1));
            SearchRequest counted = of(index, new SearchSourceBuilder().query(question).size(1)
                .aggregation(AggregationBuilders.terms("years").field("year")));

            SearchResponse two = search(client, of(index, new SearchSourceBuilder().query(question).size(2)));
            SearchResponse aggregated = search(client, counted);
            MultiSearchResponse several =
                client.msearch(new MultiSearchRequest().add(first).add(filtered), RequestOptions.DEFAULT);
            List<Object> each = new ArrayList<>();
            several.forEach(item -> each.add(titles(item.getResponse())));
            Terms years = aggregated.getAggregations().get("years");
            Map<String, Object> document =
                client.get(new GetRequest(index, "0"), RequestOptions.DEFAULT).getSourceAsMap();
            // A builder writes each option of its query, and its default.
            List<QueryBuilder> builders = List.of(
                QueryBuilders.matchQuery("abstract", Answers.QUESTION),
                QueryBuilders.queryStringQuery(Answers.QUESTION).field("title").field("abstract"),
                QueryBuilders.simpleQueryStringQuery(Answers.QUESTION).field("title").field("abstract"),
                QueryBuilders.boolQuery().should(question).minimumShouldMatch(1));
            List<Object> built = new ArrayList<>();
            for (QueryBuilder builder : builders) {
                built.addAll(titles(search(client, of(index, new SearchSourceBuilder().query(builder).size(1)))));
            }
            new Answers()
                .put("bulk_failed", hasFailures)
                .put("builders", built)
                .put("question", titles(two))
                .put("filtered", titles(search(client, filtered)))
                .put("counted", titles(aggregated))
                .put("years", years.getBuckets().stream().map(bucket -> bucket.getKey()).toList())
                .put("several", each)
                .fields("hit", two.getHits().getAt(0).getSourceAsMap().keySet())
                .fields("document", document.keySet())
                .print();
        }
    }

    private static SearchRequest of(String index, SearchSourceBuilder source) {
        return new SearchRequest(index).source(source);
    }

    private static SearchResponse search(RestHighLevelClient client, SearchRequest request) throws Exception {
        return client.search(request, RequestOptions.DEFAULT);
    }

    private static List<Object> titles(SearchResponse found) {
        List<Object> titles = new ArrayList<>();
        for (SearchHit hit : found.getHits()) {
            titles.add(hit.getSourceAsMap().get("title"));
        }
        return titles;
    }
}
