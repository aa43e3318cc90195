package clients;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.http.HttpHost;
import org.opensearch.client.RestClient;
import org.opensearch.client.RestHighLevelClient;
import org.opensearch.client.json.jackson.JacksonJsonpMapper;
import org.opensearch.client.opensearch.OpenSearchClient;
import org.opensearch.client.opensearch._types.aggregations.Aggregation;
import org.opensearch.client.opensearch._types.query_dsl.MultiMatchQuery;
import org.opensearch.client.transport.rest_client.RestClientTransport;
import org.opensearch.data.client.orhlc.NativeSearchQueryBuilder;
import org.opensearch.data.client.orhlc.OpenSearchRestTemplate;
import org.opensearch.data.client.osc.NativeQuery;
import org.opensearch.data.client.osc.OpenSearchTemplate;
import org.opensearch.index.query.QueryBuilder;
import org.opensearch.index.query.QueryBuilders;
import org.opensearch.search.aggregations.AggregationBuilders;
import org.opensearch.search.aggregations.bucket.terms.Terms;
import org.springframework.data.annotation.Id;
import org.springframework.data.domain.PageRequest;
import org.springframework.data.elasticsearch.annotations.Document;
import org.springframework.data.elasticsearch.annotations.Field;
import org.springframework.data.elasticsearch.annotations.WriteTypeHint;
import org.springframework.data.elasticsearch.core.ElasticsearchOperations;
import org.springframework.data.elasticsearch.core.SearchHits;
import org.springframework.data.elasticsearch.core.mapping.IndexCoordinates;
import org.springframework.data.elasticsearch.core.query.BulkOptions;
import org.springframework.data.elasticsearch.core.query.IndexQuery;
import org.springframework.data.elasticsearch.core.query.IndexQueryBuilder;
import org.springframework.data.elasticsearch.core.query.Query;
import org.springframework.data.elasticsearch.core.query.StringQuery;
import org.springframework.data.elasticsearch.core.RefreshPolicy;

/** Spring Data OpenSearch, over RestHighLevelClient ("rest") or over opensearch-java ("java"). */
public final class Spring {
    /** What a program of its own would have, and our two fields, so that it would be seen if they came. */
    @Document(indexName = "papers", writeTypeHint = WriteTypeHint.FALSE)
    public static class Paper {
        @Id public String id;
        public String title;
        @Field("abstract") public String text;
        public Integer year;
        public Object embedding;
        @Field("embedding_meta") public Object provenance;

        Set<String> fields() {
            Set<String> found = new TreeSet<>();
            if (title != null) found.add("title");
            if (text != null) found.add("abstract");
            if (year != null) found.add("year");
            if (embedding != null) found.add("embedding");
            if (provenance != null) found.add("embedding_meta");
            return found;
        }
    }

    public static void main(String[] arguments) throws Exception {
        IndexCoordinates index = IndexCoordinates.of(arguments[1]);
        HttpHost host = HttpHost.create(arguments[0]);
        if (arguments[2].equals("rest")) {
            try (RestHighLevelClient client = new RestHighLevelClient(RestClient.builder(host))) {
                QueryBuilder question = QueryBuilders.multiMatchQuery(Answers.QUESTION).field("title", 2).field("abstract");
                Query counted = new NativeSearchQueryBuilder().withQuery(question)
                    .withAggregations(AggregationBuilders.terms("years").field("year")).build();
                run(new OpenSearchRestTemplate(client), index, counted);
            }
        } else {
            try (RestClient rest = RestClient.builder(host).build()) {
                OpenSearchClient client = new OpenSearchClient(new RestClientTransport(rest, new JacksonJsonpMapper()));
                var question = MultiMatchQuery.of(
                    match -> match.query(Answers.QUESTION).fields(List.of(Answers.FIELDS))).toQuery();
                Query counted = NativeQuery.builder().withQuery(question)
                    .withAggregation("years", Aggregation.of(years -> years.terms(terms -> terms.field("year")))).build();
                run(new OpenSearchTemplate(client), index, counted);
            }
        }
    }

    private static void run(ElasticsearchOperations operations, IndexCoordinates index, Query counted)
        throws Exception {
        List<IndexQuery> writes = new ArrayList<>();
        for (int n = 0; n < Answers.DOCUMENTS.size(); n++) {
            Map<String, Object> document = Answers.DOCUMENTS.get(n);
            Paper paper = new Paper();
            paper.id = String.valueOf(n);
            paper.title = (String) document.get("title");
            paper.text = (String) document.get("abstract");
            paper.year = (Integer) document.get("year");
            writes.add(new IndexQueryBuilder().withId(paper.id).withObject(paper).build());
        }
        BulkOptions refreshed = BulkOptions.builder().withRefreshPolicy(RefreshPolicy.IMMEDIATE).build();
        operations.bulkIndex(writes, refreshed, index);  // it throws if one fails

        String question = "{\"multi_match\": {\"query\": \"" + Answers.QUESTION
            + "\", \"fields\": [\"title^2\", \"abstract\"]}}";
        Query recent = new StringQuery("{\"bool\": {\"must\": " + question
            + ", \"filter\": {\"range\": {\"year\": {\"gte\": 2002}}}}}", PageRequest.of(0, 1));
        Query first = new StringQuery(question, PageRequest.of(0, 1));
        SearchHits<Paper> two =
            operations.search(new StringQuery(question, PageRequest.of(0, 2)), Paper.class, index);
        counted.setPageable(PageRequest.of(0, 1));
        SearchHits<Paper> aggregated = operations.search(counted, Paper.class, index);
        List<Object> several = new ArrayList<>();
        operations.multiSearch(List.of(first, recent), Paper.class, index).forEach(hits -> several.add(titles(hits)));
        new Answers()
            .put("bulk_failed", false)
            .put("question", titles(two))
            .put("filtered", titles(operations.search(recent, Paper.class, index)))
            .put("counted", titles(aggregated))
            .put("years", years(aggregated.getAggregations().aggregations()))
            .put("several", several)
            .fields("hit", two.getSearchHit(0).getContent().fields())
            .fields("document", operations.get("0", Paper.class, index).fields())
            .print();
    }

    private static List<Object> years(Object aggregations) {
        if (aggregations instanceof org.opensearch.search.aggregations.Aggregations all) {
            Terms years = all.get("years");
            return years.getBuckets().stream().map(bucket -> bucket.getKey()).toList();
        }
        var years = ((List<org.opensearch.data.client.osc.OpenSearchAggregation>) aggregations).get(0);
        return years.aggregation().getAggregate().lterms().buckets().array().stream()
            .<Object>map(bucket -> Integer.valueOf(bucket.key())).toList();
    }

    private static List<Object> titles(SearchHits<Paper> hits) {
        return hits.getSearchHits().stream().<Object>map(hit -> hit.getContent().title).toList();
    }
}
