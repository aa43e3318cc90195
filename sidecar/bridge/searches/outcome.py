"""The words of `X-Sidecar-Search`: the ways to answer a search, and the reasons not to answer it by meaning."""

from enum import StrEnum


class Mode(StrEnum):
    """A way to answer a search. Clients can ask for the first four."""

    OFF = "off"
    LEXICAL = "lexical"
    SEMANTIC = "semantic"
    HYBRID = "hybrid"
    NEURAL = "neural"  # the client wrote `neural` clauses itself
    REFUSED = "refused"  # a search of an `_msearch` that the client must change


class Reason(StrEnum):
    """A reason why a search was not answered by meaning (`X-Sidecar-Search: lexical; reason=…`)."""

    AGGREGATIONS = "aggregations"  # they belong to the lexical query
    BINDING = "binding"  # the search mode of the index
    EMBEDDER_BUSY = "embedder_busy"
    EMBEDDER_DEADLINE = "embedder_deadline"
    EMBEDDER_UNAVAILABLE = "embedder_unavailable"
    EXACT_MATCH = "exact_match"
    EXACT_TOTALS = "exact_totals"
    FUSION = "fusion"  # neither the cluster nor the bridge can fuse this search
    HIDDEN_BINDING = "hidden_binding"  # the client may not see how the index is bound
    HIDDEN_SOURCE = "hidden_source"  # the client may not see a field that the vector was computed from
    MIN_SCORE = "min_score"
    MIXED_INDICES = "mixed_indices"
    NO_TEXT = "no_text"
    NOT_UNDERSTOOD = "not_understood"  # the body is not a JSON object, or has an encoding that we do not read
    OPTION = "option"
    QUERY_TYPE = "query_type"
    REFUSED = "refused"  # the cluster refused the rewritten search, so the original was sent
    REQUEST = "request"  # the client asked for it
    SCROLL = "scroll"
    SEARCH_PIPELINE = "search_pipeline"
    SIZE_ZERO = "size_zero"
    SORT = "sort"
    SPACE = "space"  # the space of the served model is not that of the index
    TOO_LARGE = "too_large"  # the search, or the answer that the bridge would have to read
    UNBOUND = "unbound"
    UNBOUND_FIELDS = "unbound_fields"
    WINDOW = "window"
