"""Decides whether the bridge can fuse a search. It must understand every option, and know every shard. Pure."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from sidecar.bridge.bindings.indices import BoundIndex
from sidecar.bridge.searches.rewrite.eligibility import QUERY_PARAMETERS
from sidecar.bridge.searches.rewrite.point_in_time import holds_all
from sidecar.bridge.searches.rewrite.tie_breakers import can_break_ties
from sidecar.jsontext import Json, Object

MAX_SHARDS: Final = 64  # each shard costs two searches

# The options of the legs, and those of the page.
LEG_OPTIONS: Final = ("post_filter", "stats", "timeout")
FETCH_OPTIONS: Final = frozenset(
    {"_source", "docvalue_fields", "fields", "highlight", "script_fields", "stored_fields", "timeout", "version"}
)
SUMMARIES: Final = frozenset({"aggs", "aggregations", "suggest"})
_BODY: Final = frozenset(
    {
        *FETCH_OPTIONS, *SUMMARIES, *LEG_OPTIONS,
        "collapse", "explain", "from", "pit", "query", "search_after", "search_pipeline", "seq_no_primary_term", "size",
        "sort", "track_scores", "track_total_hits",
    }
)  # fmt: skip
HEADER_PARAMETERS: Final = frozenset(
    {
        "allow_no_indices", "allow_partial_search_results", "expand_wildcards", "ignore_throttled",
        "ignore_unavailable", "routing",
    }
)  # fmt: skip
URL_PARAMETERS: Final = frozenset(
    {"cancel_after_time_interval", "error_trace", "human", "max_concurrent_shard_requests", "typed_keys"}
)
_BODY_PARAMETERS: Final = frozenset(
    {
        "_source", "_source_excludes", "_source_includes", "filter_path", "from", "preference", "pretty",
        "rest_total_hits_as_int", "size", "timeout", "track_total_hits",
    }
)  # fmt: skip
# Parameters that change nothing about searches of one shard, with the values that the cluster takes.
_FLAG: Final = re.compile("|true|false")
_IDLE: Final = {
    "batched_reduce_size": re.compile("[2-9]|[1-9][0-9]{1,8}"),
    "ccs_minimize_roundtrips": _FLAG,
    "format": re.compile("|json", re.IGNORECASE),
    "phase_took": re.compile("false"),
    "pre_filter_shard_size": re.compile("[1-9][0-9]{0,8}"),
    "request_cache": _FLAG,
}
_PARAMETERS: Final = frozenset(
    {*HEADER_PARAMETERS, *URL_PARAMETERS, *_BODY_PARAMETERS, *QUERY_PARAMETERS, "search_pipeline", "search_type"}
)
# The cluster collapses by the doc values of these types, and refuses other types.
_COLLAPSIBLE: Final = frozenset({"byte", "double", "float", "half_float", "integer", "keyword", "long", "short"})


def can_fuse(body: Object, url: Mapping[str, str], indices: Sequence[BoundIndex]) -> bool:
    """Whether the bridge understands every option of a search, and knows all its shards."""
    return (
        body.keys() <= _BODY
        and all(name in _PARAMETERS or _is_idle(name, value) for name, value in url.items())
        and not url.get("preference", "").startswith("_shards")
        and all(index.shards for index in indices)
        and sum(index.shards for index in indices) <= MAX_SHARDS
        and ("pit" not in body or holds_all(body["pit"], indices))
        and ("sort" not in body or can_break_ties(body, indices))
        and ("search_after" not in body or url.get("from", body.get("from", 0)) in (0, "0"))
        and ("collapse" not in body or _can_collapse(body["collapse"], indices))
    )


def _is_idle(name: str, value: str) -> bool:
    return name in _IDLE and _IDLE[name].fullmatch(value) is not None


def _can_collapse(collapse: Json, indices: Sequence[BoundIndex]) -> bool:
    """Whether the bridge can form the groups. They must have one field of one type, and no inner hits."""
    if not isinstance(collapse, dict) or collapse.keys() != {"field"}:
        return False
    types = [{kind for path, kind in index.mapped if path == collapse["field"]} for index in indices]
    return len(frozenset.union(*map(frozenset, types))) == 1 and all(found and found <= _COLLAPSIBLE for found in types)
