"""Names each request: its method and raw path decide which handler answers it. Pure.

OpenSearch's router (PathTrie) splits the raw path at "/" and drops empty tokens at the end. It compares fixed tokens
without decoding them, and decodes only wildcard tokens. This module does the same. A looser or a tighter match would
cause a write without its vector, or a wrong rewrite.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import unquote

PLUGIN_PREFIX: Final = ("_plugins", "_sidecar")


@dataclass(frozen=True, slots=True)
class Bulk:
    """`_bulk`, with the index of the path. None: the path names no index."""

    index: str | None


@dataclass(frozen=True, slots=True)
class Document:
    """`_doc` or `_create` of one document. If the path has no id, the cluster chooses one."""

    index: str


@dataclass(frozen=True, slots=True)
class Update:
    """`_update` of one document."""

    index: str
    id: str


@dataclass(frozen=True, slots=True)
class Search:
    """`_search` or `_search/template` on an index expression. None: the path names no index."""

    expression: str | None
    is_template: bool = False


@dataclass(frozen=True, slots=True)
class MultiSearch:
    """`_msearch` or `_msearch/template`, with the index expression of the path. None: the path names no index."""

    expression: str | None
    is_template: bool = False


@dataclass(frozen=True, slots=True)
class Read:
    """`_doc`, `_source` or `_explain` of one document of an index. Our fields are left out of the answer."""

    index: str
    shows_source: bool = True  # False: only if the client asks for it


@dataclass(frozen=True, slots=True)
class MultiRead:
    """`_mget`, with the index of the path. None: the path names no index."""

    index: str | None


@dataclass(frozen=True, slots=True)
class Query:
    """A request with a query that is no search, such as `_count`. None: the path names no index."""

    expression: str | None


@dataclass(frozen=True, slots=True)
class Plugin:
    """A call of our own REST API. `parts` are the decoded tokens after `/_plugins/_sidecar`."""

    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PassThrough:
    """Any other request. It is forwarded. If `changes_bindings`, it may change the binding of an index."""

    changes_bindings: bool = False


Route: TypeAlias = Bulk | Document | Update | Search | MultiSearch | Read | MultiRead | Query | Plugin | PassThrough

_READING: Final = (Search, MultiSearch, Read, MultiRead)
_WRITES: Final = frozenset({"POST", "PUT"})
_READS: Final = frozenset({"GET", "HEAD"})
_SEARCHES: Final = frozenset({"GET", "POST"})
_QUERIES: Final = {
    ("_count",): _SEARCHES,
    ("_delete_by_query",): frozenset({"POST"}),
    ("_rank_eval",): _SEARCHES,
    ("_reindex",): frozenset({"POST"}),
    ("_update_by_query",): frozenset({"POST"}),
    ("_validate", "query"): _SEARCHES,
}
_CHANGES: Final = frozenset({"POST", "PUT", "DELETE"})

# A call of a path with one of these may change mappings, templates, aliases, settings or pipelines, or may create or
# remove an index.
_BINDING_TOKENS: Final = frozenset(
    {
        "_alias", "_aliases", "_clone", "_close", "_component_template", "_data_stream", "_index_template",
        "_mapping", "_mappings", "_open", "_restore", "_rollover", "_settings", "_shrink", "_split", "_template",
        "pipeline",
    }
)  # fmt: skip


def route(method: str, raw_path: str) -> Route:
    """The route of a request, by its method and its undecoded path without the query string."""
    tokens = _tokens(raw_path)
    if tokens[:2] == PLUGIN_PREFIX:
        return Plugin(tuple(unquote(token) for token in tokens[2:]))
    match tokens:
        case ("_bulk",) if method in _WRITES:
            return Bulk(None)
        case ("_search" | "_msearch", *rest) if method in _SEARCHES and rest in ([], ["template"]):
            return _search_route(tokens[0], None, rest)
        case ("_mget",) if method in _SEARCHES:
            return MultiRead(None)
        case _ if method in _QUERIES.get(tokens, ()):
            return Query(None)
        case (index, *rest) if method in _QUERIES.get(tuple(rest), ()) and (
            index == "_all" or index[:1] not in ("", "_")
        ):
            return Query(unquote(index))
        case ("_all" as index, *rest) if isinstance(found := _index_route(method, index, rest), _READING):
            return found
        case (index, *rest) if index and not index.startswith("_"):
            return _index_route(method, unquote(index), rest)
        case _:
            return PassThrough(changes_bindings=method in _CHANGES and not _BINDING_TOKENS.isdisjoint(tokens))


# A GET of a path with one of these may wait for work that takes hours.
_WAITING_TOKENS: Final = frozenset({"_asynchronous_search", "_plugins", "_snapshot", "_tasks", "health"})
_WAITING: Final = "wait_for"
# A POST of a path with one of these only reads.
_READING_TOKENS: Final = frozenset(
    {
        "_analyze", "_count", "_explain", "_field_caps", "_mget", "_msearch", "_mtermvectors", "_rank_eval", "_render",
        "_search", "_search_shards", "_source", "_termvectors", "_validate",
    }
)  # fmt: skip


def is_plain_read(method: str, raw_path: str, query: str) -> bool:
    """Whether a request that is forwarded only reads, and waits for nothing that may take long."""
    tokens = frozenset(_tokens(raw_path))
    if _WAITING in query or not _WAITING_TOKENS.isdisjoint(tokens):
        return False
    return method in _READS or (method == "POST" and not _READING_TOKENS.isdisjoint(tokens))


def _index_route(method: str, index: str, rest: list[str]) -> Route:
    match rest:
        case ["_bulk"] if method in _WRITES:
            return Bulk(index)
        case ["_doc"] if method == "POST":
            return Document(index)
        case ["_doc" | "_create", _] if method in _WRITES:
            return Document(index)
        case ["_update", identifier] if method == "POST":
            return Update(index, unquote(identifier))
        case ["_search" | "_msearch" as kind, *more] if method in _SEARCHES and more in ([], ["template"]):
            return _search_route(kind, index, more)
        case ["_doc" | "_source", _] if method in _READS:
            return Read(index)
        case ["_explain", _] if method in _SEARCHES:
            return Read(index, shows_source=False)
        case ["_mget"] if method in _SEARCHES:
            return MultiRead(index)
        case []:
            return PassThrough(changes_bindings=method in ("PUT", "DELETE"))
        case _:
            return PassThrough(changes_bindings=method in _CHANGES and not _BINDING_TOKENS.isdisjoint(rest))


def _search_route(kind: str, expression: str | None, rest: list[str]) -> Search | MultiSearch:
    return (Search if kind == "_search" else MultiSearch)(expression, bool(rest))


def _tokens(raw_path: str) -> tuple[str, ...]:
    tokens = raw_path.removeprefix("/").split("/")
    while tokens and not tokens[-1]:
        tokens.pop()
    return tuple(tokens)
