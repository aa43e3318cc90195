package clients;

import java.util.List;
import java.util.Map;
import org.apache.commons.logging.LogFactory;
import org.elasticsearch.hadoop.cfg.PropertiesSettings;
import org.elasticsearch.hadoop.rest.InitializationUtils;
import org.elasticsearch.hadoop.rest.RestRepository;
import org.elasticsearch.hadoop.serialization.JdkBytesConverter;
import org.elasticsearch.hadoop.serialization.MapFieldExtractor;
import org.elasticsearch.hadoop.serialization.builder.JdkValueWriter;
import org.elasticsearch.hadoop.util.ClusterInfo;
import org.elasticsearch.hadoop.util.ClusterName;
import org.elasticsearch.hadoop.util.EsMajorVersion;

/** What one task of a Spark job does: rows with ids through the bulk client of opensearch-hadoop, 100 in a request. */
public final class Hadoop {
    public static void main(String[] arguments) throws Exception {
        String[] at = arguments[0].replace("http://", "").split(":");
        int rows = Integer.parseInt(arguments[2]);
        var settings = new PropertiesSettings();
        settings.setProperty("es.nodes", at[0]);
        settings.setProperty("es.port", at[1]);
        settings.setProperty("es.nodes.wan.only", "true");  // no node discovery
        settings.setProperty("es.resource", arguments[1]);
        settings.setProperty("es.mapping.id", "id");
        settings.setProperty("es.mapping.exclude", "id");
        settings.setProperty("es.batch.size.entries", "100");
        settings.setProperty("es.batch.write.retry.wait", "100ms");
        // It refuses a cluster of version 2, so it is told what OpenSearch says under override_main_response_version.
        settings.setInternalClusterInfo(
            new ClusterInfo(new ClusterName("local", "local"), EsMajorVersion.parse("7.10.2")));
        var log = LogFactory.getLog(Hadoop.class);
        InitializationUtils.setValueWriterIfNotSet(settings, JdkValueWriter.class, log);
        InitializationUtils.setBytesConverterIfNeeded(settings, JdkBytesConverter.class, log);
        InitializationUtils.setFieldExtractorIfNotSet(settings, MapFieldExtractor.class, log);

        String outcome = "written";
        try (RestRepository repository = new RestRepository(settings)) {
            for (int n = 0; n < rows; n++) {
                repository.writeToIndex(Map.of("id", String.valueOf(n), "title", "Row " + n));
            }
            repository.flush();
        } catch (Exception error) {
            outcome = error.getClass().getSimpleName() + ": " + error.getMessage().lines().findFirst().orElse("");
        }
        new Answers().put("outcome", outcome).print();
    }
}
