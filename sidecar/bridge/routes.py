"""Which request is which: method and raw path -> what the bridge does with it. Pure.

OpenSearch's router (PathTrie) splits the raw path at "/", drops trailing empty tokens, compares fixed tokens without
decoding them and decodes only wildcard tokens. A looser or a tighter match here would be a write without its vector or
a wrong rewrite, so this module does the same.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import unquote

PLUGIN_PREFIX: Final = ("_plugins", "_sidecar")


@dataclass(frozen=True, slots=True)
class Bulk:
    """`_bulk`, with the index of the path if there is one."""

    index: str | None


@dataclass(frozen=True, slots=True)
class Document:
    """`_doc` or `_create` of one document; no id: the cluster chooses one."""

    index: str


@dataclass(frozen=True, slots=True)
class Update:
    """`_update` of one document."""

    index: str
    id: str


@dataclass(frozen=True, slots=True)
class Search:
    """`_search` or `_search/template` on an index expression; None: the path names no index."""

    expression: str | None
    is_template: bool = False


@dataclass(frozen=True, slots=True)
class MultiSearch:
    """`_msearch` or `_msearch/template`, with the index expression of the path if there is one."""

    expression: str | None
    is_template: bool = False


@dataclass(frozen=True, slots=True)
class Read:
    """`_doc`, `_source` or `_mget` of an index: vectors are left out of the answer."""

    index: str


@dataclass(frozen=True, slots=True)
class Plugin:
    """Our own REST API; `parts` is what follows `/_plugins/_sidecar`, decoded."""

    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PassThrough:
    """Everything else. `changes_bindings`: afterwards an index may be bound differently."""

    changes_bindings: bool = False


Route: TypeAlias = Bulk | Document | Update | Search | MultiSearch | Read | Plugin | PassThrough

_WRITES: Final = frozenset({"POST", "PUT"})
_READS: Final = frozenset({"GET", "HEAD"})
_SEARCHES: Final = frozenset({"GET", "POST"})
_CHANGES: Final = frozenset({"POST", "PUT", "DELETE"})

# Paths with one of these change mappings, templates, aliases, settings, pipelines or which indices there are.
_BINDING_TOKENS: Final = frozenset(
    {
        "_alias", "_aliases", "_clone", "_close", "_component_template", "_data_stream", "_index_template",
        "_mapping", "_mappings", "_open", "_restore", "_rollover", "_settings", "_shrink", "_split", "_template",
        "pipeline",
    }
)  # fmt: skip


def route(method: str, raw_path: str) -> Route:
    """Decide by method and undecoded path (no query string)."""
    tokens = _tokens(raw_path)
    if tokens[:2] == PLUGIN_PREFIX:
        return Plugin(tuple(unquote(token) for token in tokens[2:]))
    match tokens:
        case ("_bulk",) if method in _WRITES:
            return Bulk(None)
        case ("_search" | "_msearch", *rest) if method in _SEARCHES and rest in ([], ["template"]):
            return _search_route(tokens[0], None, rest)
        case (index, *rest) if index and not index.startswith("_"):
            return _index_route(method, unquote(index), rest)
        case _:
            return PassThrough(changes_bindings=method in _CHANGES and not _BINDING_TOKENS.isdisjoint(tokens))


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
        case ["_mget"] if method in _SEARCHES:
            return Read(index)
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
