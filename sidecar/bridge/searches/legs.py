"""What is sent for a search that the bridge fuses itself, and how the cluster's answers become one.

Pure. There is one lexical and one vector leg for each shard, in one `_msearch`. So normalisation sees the same window
of each shard as it would in the cluster, and a hit is known by its shard and `_seq_no`, which no other document there
has. Legs carry no stored fields (those of a hit lie beside its vectors); the page alone is fetched, with the client's
own options.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from sidecar.bridge.searches.options import QUERY_PARAMETERS, holds_key
from sidecar.bridge.searches.reasons import Object
from sidecar.bridge.targets import BoundIndex
from sidecar.jsontext import Json, dumps

MAX_SHARDS: Final = 64  # each costs two searches

# What each request brings is either understood here or makes the search one that the bridge cannot fuse.
_LEG_OPTIONS: Final = ("post_filter", "stats", "timeout")
_FETCH_OPTIONS: Final = frozenset(
    {"_source", "docvalue_fields", "fields", "highlight", "script_fields", "stored_fields", "timeout", "version"}
)
_SUMMARIES: Final = frozenset({"aggs", "aggregations", "suggest"})
_BODY: Final = frozenset(
    {
        *_FETCH_OPTIONS, *_SUMMARIES, *_LEG_OPTIONS,
        "from", "query", "seq_no_primary_term", "size", "sort", "track_total_hits",
    }
)  # fmt: skip
_HEADER_PARAMETERS: Final = frozenset(
    {"allow_no_indices", "allow_partial_search_results", "expand_wildcards", "ignore_unavailable", "routing"}
)
_URL_PARAMETERS: Final = frozenset(
    {"cancel_after_time_interval", "error_trace", "human", "max_concurrent_shard_requests", "typed_keys"}
)
_BODY_PARAMETERS: Final = frozenset(
    {
        "_source", "_source_excludes", "_source_includes", "from", "preference", "pretty", "rest_total_hits_as_int",
        "size", "timeout", "track_total_hits",
    }
)  # fmt: skip
_PARAMETERS: Final = frozenset(
    {*_HEADER_PARAMETERS, *_URL_PARAMETERS, *_BODY_PARAMETERS, *QUERY_PARAMETERS, "search_type"}
)
_COUNTED_BY_DEFAULT: Final = 10_000


@dataclass(frozen=True, slots=True, order=True)
class Shard:
    """One shard of an index. They sort as the cluster visits them, which decides between equal scores."""

    number: int
    index: str


class Document(NamedTuple):
    """A document as it was when a leg found it: the position of its shard, and what changes when the document does."""

    shard: int
    seq_no: int


@dataclass(frozen=True, slots=True)
class Fusible:
    """A search that the bridge can fuse: both queries, and what the client asks for."""

    body: Object  # with what the URL says in place
    knn: Object
    window: int
    shards: tuple[Shard, ...]
    header: Object
    parameters: Mapping[str, str]  # of the `_msearch`
    preference: str
    totals_as_number: bool

    @property
    def filters(self) -> list[Json]:
        """What holds for every hit of both legs."""
        clauses = self.knn["knn"]
        options = next(iter(clauses.values())) if isinstance(clauses, dict) else None
        return [options["filter"]] if isinstance(options, dict) and "filter" in options else []

    @property
    def start(self) -> int:
        return _number(self.body.get("from", 0))

    @property
    def size(self) -> int:
        return _number(self.body.get("size", 10))

    @property
    def counted(self) -> int | None:
        """How far hits are counted exactly; None: to the end; 0: not at all."""
        wanted = self.body.get("track_total_hits", True if self.totals_as_number else _COUNTED_BY_DEFAULT)
        if wanted is True or wanted == "true":
            return None
        return max(0, _number(wanted)) if wanted not in (False, "false") else 0


def can_fuse(body: Object, url: Mapping[str, str], indices: Sequence[BoundIndex]) -> bool:
    """Whether the bridge understands every option of a search, and knows all shards it goes to."""
    return (
        body.keys() <= _BODY
        and url.keys() <= _PARAMETERS
        and not url.get("preference", "").startswith("_shards")
        and all(index.shards for index in indices)
        and sum(index.shards for index in indices) <= MAX_SHARDS
    )


def plan_legs(
    body: Object, knn: Object, window: int, shards: Iterable[Shard], url: Mapping[str, str], *, token: str
) -> Fusible:
    """The search as the bridge fuses it, where it can. `body` holds the lexical query.

    `token` makes both phases of a search of one shard read the same copy of it.
    """
    several = tuple(sorted(shards))
    preference = url.get("preference", "")
    if len(several) > 1 and not preference.startswith("_"):
        preference = "_primary_first"  # a word of the client's own cannot be joined with `_shards`
    return Fusible(
        {**body, **_from_url(url)},
        knn,
        window,
        several,
        {name: url[name] for name in sorted(_HEADER_PARAMETERS) if name in url},
        {name: url[name] for name in sorted(_URL_PARAMETERS) if name in url},
        preference or token,
        url.get("rest_total_hits_as_int", "false") in ("", "true"),
    )


def _from_url(url: Mapping[str, str]) -> Object:
    """What the URL says of the body; it wins there too."""
    said: Object = {name: url[name] for name in ("from", "size", "timeout", "track_total_hits") if name in url}
    source: Object = {
        key: list(url[name].split(","))
        for name, key in (("_source_includes", "includes"), ("_source_excludes", "excludes"))
        if url.get(name)
    }
    plain = url.get("_source")
    if plain not in (None, "", "true", "false"):
        source.setdefault("includes", list(str(plain).split(",")))
    if plain == "false":
        said["_source"] = False
    elif source or plain == "true":
        said["_source"] = source or True
    return said


def legs_request(search: Fusible) -> bytes:
    """The body of the first `_msearch`: both legs of each shard; with several, aggregations over all of them last."""
    lexical, semantic = dumps(search.body["query"]), dumps(search.knn)
    common: Object = {"size": search.window, "_source": False, "stored_fields": "_none_", "seq_no_primary_term": True}
    common |= _named(search.body, _LEG_OPTIONS)
    counting: Json = True if search.counted is None else search.counted or False
    first = {**common, "track_total_hits": counting, **(_summaries(search) if len(search.shards) == 1 else {})}
    second: Object = {**common, "track_total_hits": False}
    lines = [
        line
        for query, options in ((lexical, first), (semantic, second))
        for position in range(len(search.shards))
        for line in (_header(search, position), _with_query(options, _on_shard(search, position, query)))
    ]
    if _has_summary_item(search):
        whole: Object = {
            "size": 0,
            "track_total_hits": False,
            **_summaries(search),
            **_named(search.body, _LEG_OPTIONS),
        }
        lines += [dumps(search.header), _with_query(whole, lexical)]
    return b"\n".join(lines) + b"\n"


def page_request(search: Fusible, documents: Sequence[Document], uncounted: Sequence[Document]) -> bytes:
    """The body of a further `_msearch`: the documents with the client's own options, shard by shard.

    Then for each shard of `uncounted`, how many of its documents the lexical query matches.
    """
    lexical: Json = search.body["query"]
    options: Object = {
        **_named(search.body, _FETCH_OPTIONS),
        "seq_no_primary_term": True,
        "track_total_hits": False,
    }
    lines: list[bytes] = []
    for position, numbers in by_shard(documents).items():
        # The client's filter again: should another index have taken the name, nothing that it excludes is shown.
        query: Object = {"bool": {"filter": [{"terms": {"_seq_no": list(numbers)}}, *search.filters]}}
        if _fetch_needs_query(search):
            query = {"bool": {"filter": [query], "should": [lexical]}}
        asked: Object = {**options, "size": len(numbers)}
        lines += [_header(search, position), _with_query(asked, _on_shard(search, position, dumps(query)))]
    for position, numbers in by_shard(uncounted).items():
        query = {"bool": {"filter": [lexical, {"terms": {"_seq_no": list(numbers)}}]}}
        lines += [
            _header(search, position),
            _with_query({"size": 0, "track_total_hits": True}, _on_shard(search, position, dumps(query))),
        ]
    return b"\n".join(lines) + b"\n"


def by_shard(documents: Iterable[Document]) -> dict[int, list[int]]:
    """The `_seq_no`s of documents, by the position of their shard."""
    grouped: dict[int, list[int]] = {}
    for document in documents:
        grouped.setdefault(document.shard, []).append(document.seq_no)
    return grouped


def _header(search: Fusible, position: int) -> bytes:
    if len(search.shards) == 1:
        return dumps({**search.header, "preference": search.preference})
    number = search.shards[position].number
    return dumps({**search.header, "preference": f"_shards:{number}|{search.preference}"})


def _on_shard(search: Fusible, position: int, query: bytes) -> bytes:
    """The query on one index alone. Its name in the path instead would lose the filter of an alias."""
    index = search.shards[position].index
    if all(shard.index == index for shard in search.shards):
        return query
    return b'{"bool":{"must":[%s],"filter":[%s]}}' % (query, dumps({"term": {"_index": index}}))


def _with_query(options: Object, query: bytes) -> bytes:
    """A search body; the query is written once for all shards, as its vector is long."""
    return dumps(options)[:-1] + b',"query":' + query + b"}"


def _named(body: Object, names: Iterable[str]) -> Object:
    return {name: body[name] for name in sorted(names) if name in body}


def _summaries(search: Fusible) -> Object:
    return _named(search.body, _SUMMARIES)


def _has_summary_item(search: Fusible) -> bool:
    return len(search.shards) > 1 and bool(_summaries(search))


def _fetch_needs_query(search: Fusible) -> bool:
    """Whether a hit says how the query matched it: `highlight`, `matched_queries`."""
    return "highlight" in search.body or holds_key(search.body["query"], "_name")


def _number(value: Json) -> int:
    return int(value) if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()) else 0
