"""Decides whether a hybrid search includes the companion of its template.

The companion is an empty index that makes one shard two (see `templates/`). Pure. The companion must read the query as
the index itself does. Otherwise its shard would fail, and the answer would show that failure.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from sidecar.bridge.bindings.indices import BoundIndex
from sidecar.jsontext import Json, clauses

# A search of one shard is answered completely or not at all. This option keeps that so: if the shard fails, the empty
# answer of the companion must not be the result.
WHOLE: Final = {"allow_partial_search_results": "false"}

# Queries that find nothing on a field that is not mapped, and do not fail there.
_HARMLESS_UNMAPPED: Final = frozenset(
    {
        "combined_fields", "exists", "fuzzy", "ids", "match", "match_all", "match_bool_prefix", "match_phrase",
        "match_phrase_prefix", "multi_match", "prefix", "query_string", "range", "regexp", "simple_query_string",
        "term", "terms", "wildcard",
    }
)  # fmt: skip
_PLACES: Final = ("_only", "_shards")  # preferences for nodes or shards that the companion may not have
_CLAUSES: Final = {
    "bool": ("must", "should", "filter", "must_not"),
    "dis_max": ("queries",),
    "constant_score": ("filter",),
}


def wanted_companion(indices: tuple[BoundIndex, ...], url: Mapping[str, str]) -> str | None:
    """The companion for a search of these indices. None unless the search goes to exactly one shard of one index."""
    if len(indices) != 1 or url.get("preference", "").startswith(_PLACES):
        return None
    (index,) = indices
    search = index.binding.search if index.binding else None
    routing = url.get("routing", "")
    is_one_shard = index.shards == 1 or (routing != "" and "," not in routing)
    return search.companion if search is not None and is_one_shard else None


def fits(companion: tuple[BoundIndex, ...], index: BoundIndex, queries: tuple[Json, ...]) -> bool:
    """Whether the companion answers these queries as `index` would if it were empty.

    `companion` has the indices of its name, as the client sees them.
    """
    if len(companion) != 1 or companion[0].binding != index.binding:
        return False
    return index.mapped <= companion[0].mapped or all(_is_harmless(query) for query in queries if query is not None)


def with_companion(path: str, companion: str) -> str:
    """Add the companion to the expression of a raw path `/{expression}/_search`."""
    expression, slash, rest = path.rpartition("/_search")
    return f"{expression},{quote(companion, safe='')}{slash}{rest}"


def _is_harmless(query: Json) -> bool:
    if not isinstance(query, dict) or len(query) != 1:
        return False
    kind, spec = next(iter(query.items()))
    if kind in _HARMLESS_UNMAPPED:
        return True
    if kind not in _CLAUSES or not isinstance(spec, dict):
        return False
    return all(_is_harmless(inner) for key in _CLAUSES[kind] for inner in clauses(spec.get(key)))
