package flowbeam;

import org.apache.lucene.analysis.TokenStream;
import org.apache.lucene.analysis.Tokenizer;
import org.apache.lucene.analysis.email.UAX29URLEmailTokenizer;
import org.apache.lucene.analysis.miscellaneous.RemoveDuplicatesTokenFilter;
import org.apache.lucene.analysis.pattern.PatternCaptureGroupTokenFilter;
import org.elasticsearch.Build;
import org.elasticsearch.client.internal.node.NodeClient;
import org.elasticsearch.cluster.metadata.IndexNameExpressionResolver;
import org.elasticsearch.cluster.node.DiscoveryNodes;
import org.elasticsearch.common.io.stream.NamedWriteableRegistry;
import org.elasticsearch.common.settings.*;
import org.elasticsearch.features.NodeFeature;
import org.elasticsearch.index.analysis.*;
import org.elasticsearch.indices.analysis.AnalysisModule.AnalysisProvider;
import org.elasticsearch.plugins.*;
import org.elasticsearch.rest.*;
import org.elasticsearch.xcontent.XContentBuilder;
import java.util.*;
import java.util.function.*;
import java.util.regex.Pattern;

/** For the local server: answers GET /, and supplies the three analysis parts that the security index needs. */
public class ShimPlugin extends Plugin implements ActionPlugin, AnalysisPlugin {
    @Override
    public Map<String, AnalysisProvider<TokenFilterFactory>> getTokenFilters() {
        return Map.of(
            "pattern_capture", AnalysisPlugin.requiresAnalysisSettings((is, env, name, s) -> new AbstractTokenFilterFactory(name, s) {
                final Pattern[] ps = s.getAsList("patterns").stream().map(Pattern::compile).toArray(Pattern[]::new);
                final boolean keep = s.getAsBoolean("preserve_original", true);
                public TokenStream create(TokenStream t) { return new PatternCaptureGroupTokenFilter(t, keep, ps); }
            }),
            "unique", (is, env, name, s) -> new AbstractTokenFilterFactory(name, s) {
                public TokenStream create(TokenStream t) { return new RemoveDuplicatesTokenFilter(t); }
            });
    }
    @Override
    public List<PreConfiguredTokenFilter> getPreConfiguredTokenFilters() {
        return List.of(PreConfiguredTokenFilter.singleton("unique", false, RemoveDuplicatesTokenFilter::new));
    }
    @Override
    public List<PreConfiguredTokenizer> getPreConfiguredTokenizers() {
        return List.of(PreConfiguredTokenizer.singleton("uax_url_email", UAX29URLEmailTokenizer::new));
    }
    @Override
    public Map<String, AnalysisProvider<TokenizerFactory>> getTokenizers() {
        return Map.of("uax_url_email", (is, env, name, s) -> new AbstractTokenizerFactory(is, s, name) {
            public Tokenizer create() { return new UAX29URLEmailTokenizer(); }
        });
    }
    @Override
    public Collection<RestHandler> getRestHandlers(Settings settings, NamedWriteableRegistry r, RestController c, ClusterSettings cs,
            IndexScopedSettings is, SettingsFilter sf, IndexNameExpressionResolver e, Supplier<DiscoveryNodes> nodes, Predicate<NodeFeature> f) {
        return List.of(new BaseRestHandler() {
            public String getName() { return "shim_root"; }
            public List<Route> routes() { return List.of(new Route(RestRequest.Method.GET, "/"), new Route(RestRequest.Method.HEAD, "/")); }
            protected RestChannelConsumer prepareRequest(RestRequest q, NodeClient cl) {
                return ch -> { try (XContentBuilder b = ch.newBuilder()) {
                    Build v = Build.current();
                    b.startObject().field("name", settings.get("node.name")).field("cluster_name", settings.get("cluster.name"))
                     .startObject("version").field("number", v.qualifiedVersion()).field("build_flavor", "default").field("build_type", "zip").field("build_hash", v.hash()).endObject()
                     .field("tagline", "You Know, for Search").endObject();
                    ch.sendResponse(new RestResponse(RestStatus.OK, b)); } };
            }
        });
    }
}
