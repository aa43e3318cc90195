"""How a search may be answered, and why it is not answered by meaning: the words of `X-Sidecar-Search`."""

from enum import StrEnum


class Mode(StrEnum):
    """How a search is answered; all but NEURAL can be asked for."""

    OFF = "off"
    LEXICAL = "lexical"
    SEMANTIC = "semantic"
    HYBRID = "hybrid"
    NEURAL = "neural"  # the client wrote `neural` clauses itself
    REFUSED = "refused"  # a search of an `_msearch` that the client must change


class Reason(StrEnum):
    """Why a search was not made semantic (`X-Sidecar-Search: lexical; reason=…`)."""

    AGGREGATIONS = "aggregations"  # they stay the lexical query's
    BINDING = "binding"  # the index's own search mode
    EMBEDDER_BUSY = "embedder_busy"
    EMBEDDER_DEADLINE = "embedder_deadline"
    EMBEDDER_UNAVAILABLE = "embedder_unavailable"
    EXACT_MATCH = "exact_match"
    EXACT_TOTALS = "exact_totals"
    FUSION = "fusion"  # neither the cluster nor the bridge can fuse this search
    HIDDEN_BINDING = "hidden_binding"  # the client may not see how the index is bound
    HIDDEN_SOURCE = "hidden_source"  # the client may not see a field that the vector was made of
    MIN_SCORE = "min_score"
    MIXED_INDICES = "mixed_indices"
    NO_TEXT = "no_text"
    NOT_UNDERSTOOD = "not_understood"  # the body is not a JSON object, or is encoded in a way we do not read
    OPTION = "option"
    QUERY_TYPE = "query_type"
    REFUSED = "refused"  # the cluster refused the rewritten search, so the original was sent
    REQUEST = "request"  # the client asked for it
    SCROLL = "scroll"
    SEARCH_PIPELINE = "search_pipeline"
    SIZE_ZERO = "size_zero"
    SORT = "sort"
    SPACE = "space"  # the served model's space is not the index's
    UNBOUND = "unbound"
    UNBOUND_FIELDS = "unbound_fields"
    WINDOW = "window"
