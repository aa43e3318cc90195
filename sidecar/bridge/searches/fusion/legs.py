"""Writes the requests of both phases of a search that the bridge fuses itself.

Pure. The first `_msearch` has one lexical and one vector leg for each shard. So normalisation sees the same window of
each shard as in the cluster. Shard and `_seq_no` identify a hit, because no other document of the shard has the same
`_seq_no`. Legs get no stored fields, because the vectors are stored beside them. Only the documents of the page are
fetched, with the client's own options.

Pages of one query must not shift against each other. So the window is the same for all of them, and so is the vector
leg. A deeper page only asks for more lexical hits (see `ranking`).
"""

from collections.abc import Iterable, Sequence
from typing import Final

from sidecar.bridge.searches.fusion.request import FusedSearch, HitKey
from sidecar.bridge.searches.rewrite.defaults import sort_elements
from sidecar.bridge.searches.rewrite.eligibility import holds_key
from sidecar.bridge.searches.rewrite.fusibility import FETCH_OPTIONS, LEG_OPTIONS, SUMMARIES
from sidecar.jsontext import Json, Object, at, dumps_quick

_BEST_FIRST: Final[Json] = {"_score": "desc"}
_BY_NUMBER: Final[Json] = {"_doc": "asc"}  # the usual order of equal scores. It shows Lucene's document numbers
_OF_SUGGESTIONS: Final = ("_source", "stored_fields")  # they say what the documents of a completion show


def legs_request(search: FusedSearch) -> bytes:
    """The body of the first `_msearch`: the vector leg of each shard, then the lexical leg of each shard.

    The vector legs take longest, so the cluster begins with them. If there are several shards, a search of all of
    them comes last for aggregations and suggestions.
    """
    lexical = dumps_quick(search.body["query"])
    order: Json = [*(sort_elements(search.body.get("sort", [])) or [_BEST_FIRST]), _BY_NUMBER]
    common: Object = {"_source": False, "stored_fields": "_none_", "seq_no_primary_term": True, "sort": order}
    common |= _named(search.body, LEG_OPTIONS)
    if search.group_field is not None:
        common["docvalue_fields"] = [search.group_field]
    counting: Json = False if search.counted is None else search.counted
    first = {**common, "size": search.depth, "track_total_hits": counting}
    if not _has_summary_item(search):
        first |= _summaries(search)
    neighbours = {**common, "size": search.k, "track_total_hits": False}
    lines = [
        line
        for query, options in ((dumps_quick(search.knn), neighbours), (lexical, first))
        for position in range(len(search.shards))
        for line in _on_shard(search, position, options, query)
    ]
    if _has_summary_item(search):
        whole: Object = {
            "size": 0,
            "track_total_hits": False,
            **_summaries(search),
            **_named(search.body, LEG_OPTIONS),
            **_named(search.body, _OF_SUGGESTIONS),
            **_everywhere(search),
        }
        lines += [dumps_quick(search.header), _with_query(whole, lexical)]
    return b"\n".join(lines) + b"\n"


def page_request(search: FusedSearch, documents: Sequence[HitKey], uncounted: Sequence[HitKey]) -> bytes:
    """The body of a further `_msearch`. It fetches the documents with the client's own options, shard by shard.

    For each shard of `uncounted` it then counts the documents that the lexical query matches.
    """
    lexical: Json = search.body["query"]
    options: Object = {
        **_named(search.body, (*FETCH_OPTIONS, "explain", "sort")),
        "seq_no_primary_term": True,
        "track_total_hits": False,
    }
    if search.group_field is not None:
        options["docvalue_fields"] = _with_field(search.body.get("docvalue_fields"), search.group_field)
    lines: list[bytes] = []
    for position, numbers in pages(documents).items():
        # The client's filter again. If another index has this name by now, documents that it excludes are not shown.
        query: Object = {"bool": {"filter": [{"terms": {"_seq_no": list(numbers)}}, *search.filters]}}
        if _fetch_needs_query(search):
            query = {"bool": {"filter": [query], "should": [lexical]}}
        asked: Object = {**options, "size": len(numbers)}
        lines += _on_shard(search, position, asked, dumps_quick(query), processors=search.processors)
    for position, numbers in by_shard(uncounted).items():
        query = {"bool": {"filter": [lexical, {"terms": {"_seq_no": list(numbers)}}]}}
        lines += _on_shard(search, position, {"size": 0, "track_total_hits": True}, dumps_quick(query))
    return b"\n".join(lines) + b"\n"


def explain_request(search: FusedSearch, documents: Sequence[HitKey]) -> bytes:
    """The body of a last `_msearch`. It asks how the vector leg and the lexical leg score the documents of the page.

    A filter after the search selects the documents, so that it is no part of the explanations.
    """
    lines: list[bytes] = []
    for position, numbers in pages(documents).items():
        wanted: Json = {"terms": {"_seq_no": list(numbers)}}
        options: Object = {
            "_source": False,
            "explain": True,
            "seq_no_primary_term": True,
            "size": len(numbers),
            "stored_fields": "_none_",
            "track_total_hits": False,
        }
        for query in (search.knn, search.body["query"]):
            lines += _on_shard(search, position, options, dumps_quick(query), wanted=wanted)
    return b"\n".join(lines) + b"\n"


def pages(documents: Iterable[HitKey]) -> dict[int, list[int]]:
    """The shards of a page, and the `_seq_no`s to fetch from each. There is always one, which has the options."""
    return by_shard(documents) or {0: []}


def by_shard(documents: Iterable[HitKey]) -> dict[int, list[int]]:
    """The `_seq_no`s of documents, by the position of their shard."""
    grouped: dict[int, list[int]] = {}
    for position, number in documents:
        grouped.setdefault(position, []).append(number)
    return grouped


def _on_shard(
    search: FusedSearch,
    position: int,
    options: Object,
    query: bytes,
    *,
    processors: tuple[Object, ...] | None = None,
    wanted: Json = None,
) -> tuple[bytes, bytes]:
    """A search of one shard: its header line and its body line. `wanted` selects hits and leaves the query as it is."""
    number, index = search.shards[position].number, search.shards[position].index
    siblings = sum(shard.index == index for shard in search.shards)
    header, options = dict(search.header), {**options, **_everywhere(search, processors)}
    if search.pit is None:
        several = len(search.shards) > 1
        header["preference"] = f"_shards:{number}|{search.preference}" if several else search.preference
    elif siblings > 1:  # a point in time accepts no preference, but with as many slices as shards each slice is a shard
        options["slice"] = {"id": number, "max": siblings}
    # In the path, the name of the index would lose the filter of an alias.
    only: list[Json] = [{"term": {"_index": index}}] if siblings < len(search.shards) else []
    if wanted is not None:
        options["post_filter"] = {"bool": {"filter": [wanted, *only]}}
    elif only:
        query = b'{"bool":{"must":[%s],"filter":%s}}' % (query, dumps_quick(only))
    return dumps_quick(header), _with_query(options, query)


def _everywhere(search: FusedSearch, processors: tuple[Object, ...] | None = None) -> Object:
    """The options of every search of both phases: the point in time, and a pipeline that replaces the search's own."""
    pipeline: Object = {"response_processors": list(processors)} if processors else {}
    return {
        **({} if search.pit is None else {"pit": search.pit}),
        **({} if search.processors is None else {"search_pipeline": pipeline}),
    }


def _with_field(named: Json, field: str) -> Json:
    """Add the field of `collapse` to `docvalue_fields`. The cluster shows its value with each group."""
    given = named if isinstance(named, list) else []
    return given if any(field in (entry, at(entry, "field")) for entry in given) else [*given, field]


def _with_query(options: Object, query: bytes) -> bytes:
    """A search body. `query` is JSON already, because it has a long vector and is the same for all shards."""
    return dumps_quick(options)[:-1] + b',"query":' + query + b"}"


def _named(body: Object, names: Iterable[str]) -> Object:
    return {name: body[name] for name in sorted(names) if name in body}


def _summaries(search: FusedSearch) -> Object:
    return _named(search.body, SUMMARIES)


def _has_summary_item(search: FusedSearch) -> bool:
    """Whether a search of its own makes the summaries. A leg cannot make suggestions, which may show documents."""
    summaries = _summaries(search)
    return bool(summaries) and (len(search.shards) > 1 or "suggest" in summaries)


def _fetch_needs_query(search: FusedSearch) -> bool:
    """Whether hits show how the query matched them: `highlight`, `matched_queries`."""
    return "highlight" in search.body or holds_key(search.body["query"], "_name")
