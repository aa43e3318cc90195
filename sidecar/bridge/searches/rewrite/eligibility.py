"""Decides whether the options of a search work with `hybrid`. The rules were observed on a real node.

Pure. A search with an option that is not listed is not rewritten. `docs/search.md` has the table with the reasons.
"""

from collections.abc import Mapping
from typing import Final

from sidecar.bridge.searches.outcome import Reason
from sidecar.bridge.searches.rewrite.point_in_time import shards_of_point
from sidecar.bridge.searches.rewrite.tie_breakers import tie_breakers
from sidecar.jsontext import Json, Object

# The parameters of `?q=` (RestActions.urlParamsToQueryBuilder). Without `q` the cluster reads none of them.
QUERY_PARAMETERS: Final = ("q", "df", "default_operator", "analyzer", "analyze_wildcard", "lenient")

_MAX_DIGITS: Final = 10

_EXACT: Final = 2_147_483_647  # as `track_total_hits`: no bound

_URL_REASONS: Final = {"scroll": Reason.SCROLL, "sort": Reason.SORT}
_URL_NEUTRAL: Final = frozenset(
    {
        "_source", "_source_includes", "_source_excludes", "allow_no_indices", "allow_partial_search_results",
        "batched_reduce_size", "cancel_after_time_interval", "ccs_minimize_roundtrips", "docvalue_fields",
        "error_trace", "expand_wildcards", "filter_path", "format", "from", "human", "ignore_throttled",
        "ignore_unavailable", "max_concurrent_shard_requests", "phase_took", "pre_filter_shard_size", "preference",
        "pretty", "request_cache", "rest_total_hits_as_int", "routing", "search_pipeline", "seq_no_primary_term",
        "size", "stats", "stored_fields", "timeout", "track_total_hits", "typed_keys", "version", *QUERY_PARAMETERS,
    }
)  # fmt: skip
_BODY_REASONS: Final = {
    "min_score": Reason.MIN_SCORE,
}
_BODY_NEUTRAL: Final = frozenset(
    {
        "aggregations", "aggs", "collapse", "docvalue_fields", "explain", "fields", "from", "highlight", "pit",
        "post_filter", "query", "script_fields", "search_after", "search_pipeline", "seq_no_primary_term", "size",
        "sort", "_source", "stats", "stored_fields", "suggest", "timeout", "track_scores", "track_total_hits",
        "version",
    }
)  # fmt: skip
_FLAGS: Final = ("explain", "track_scores")


def option_reason(body: Object, url: Mapping[str, str]) -> Reason | None:
    """The reason why these options do not work with `hybrid`. None if they do. Defaults are left out already."""
    if "q" not in url and not url.keys().isdisjoint(QUERY_PARAMETERS):
        return Reason.OPTION  # the cluster refuses them
    for name, value in url.items():
        if name not in _URL_NEUTRAL and (name, value) != ("search_type", "query_then_fetch"):
            return _URL_REASONS.get(name, Reason.OPTION)
    for name in body:
        if name not in _BODY_NEUTRAL:
            return _BODY_REASONS.get(name, Reason.OPTION)
    if body.get("size") == 0 or url.get("size") == "0":
        return Reason.SIZE_ZERO
    if holds_key(body.get("query"), "inner_hits"):
        return Reason.OPTION  # `hybrid` leaves them out of the answer
    if "pit" in body and shards_of_point(body["pit"]) is None:
        return Reason.OPTION  # its indices are unknown
    return _value_reason(body)


def cluster_reason(body: Object, url: Mapping[str, str]) -> Reason | None:
    """The reason why the cluster cannot fuse a search. None if it can.

    A vector leg would change aggregations and exact totals. Beside `hybrid` the cluster ignores `collapse`, and
    with `explain` 2.19.1 normalises by `min_max` twice.
    """
    if "aggs" in body or "aggregations" in body:
        return Reason.AGGREGATIONS
    if url.get("track_total_hits", body.get("track_total_hits")) in (True, "true", _EXACT, str(_EXACT)):
        return Reason.EXACT_TOTALS
    if "sort" in body:
        return Reason.SORT  # beside another key than `_score` it takes no `_score`
    return Reason.OPTION if "collapse" in body or "explain" in body else None


def _value_reason(body: Object) -> Reason | None:
    """The reason why the value of an option does not work with `hybrid`. The best hits must come first.

    Fields may decide between equal scores.
    """
    is_by_score = tie_breakers(body["sort"]) is not None if "sort" in body else "search_after" not in body
    if not is_by_score:
        return Reason.SORT
    return None if all(isinstance(body.get(name, False), bool) for name in _FLAGS) else Reason.OPTION


def end_of_page(body: Object, url: Mapping[str, str]) -> int | None:
    """The sum of `from` and `size`, as the cluster reads them. None if it would not accept them as numbers."""
    total = 0
    for name, default in (("from", 0), ("size", 10)):
        value = url.get(name, body.get(name, default))
        if isinstance(value, str) and is_number(value):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            return None
        total += value
    return total


def is_number(text: str) -> bool:
    """Whether the cluster would read a text as an int. It reads no int of more digits, and Python not of very many."""
    return text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS


def query_of(body: Object, url: Mapping[str, str]) -> Json:
    """The query that the cluster would run. `?q=` with its parameters replaces the query of the body."""
    if "q" not in url:
        return body.get("query")
    names = {"q": "query", "df": "default_field", "analyze_wildcard": "analyze_wildcard", "lenient": "lenient"}
    options: Object = {names.get(name, name): url[name] for name in QUERY_PARAMETERS if name in url}
    return {"query_string": options}


def holds_key(node: Json, key: str) -> bool:
    """Whether a value has a member of this name at any depth."""
    if isinstance(node, dict):
        return key in node or any(holds_key(value, key) for value in node.values())
    return isinstance(node, list) and any(holds_key(element, key) for element in node)
