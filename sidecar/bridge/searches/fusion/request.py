"""Describes a search that the bridge fuses: its queries, its shards, and the client's options. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from sidecar.bridge.bindings.indices import MAX_RESULT_WINDOW
from sidecar.bridge.hidden_source import source_of
from sidecar.bridge.searches.rewrite.eligibility import is_number
from sidecar.bridge.searches.rewrite.fusibility import HEADER_PARAMETERS, URL_PARAMETERS
from sidecar.bridge.searches.rewrite.tie_breakers import TieBreaker, Values, tie_breakers
from sidecar.jsontext import Json, Object, at

# A document in the state in which a leg found it: the position of its shard, and its `_seq_no`, which changes with the
# document. It is a bare tuple, because one search of five shards makes a thousand of them.
HitKey: TypeAlias = tuple[int, int]

_COUNTED_BY_DEFAULT: Final = 10_000
_EVERY_HIT: Final = 2_147_483_647  # as `track_total_hits`: no bound
_DEEPER: Final = 10  # more groups may need this many times the lexical hits


@dataclass(frozen=True, slots=True, order=True)
class Shard:
    """One shard of an index. Shards sort in the order of the cluster, which decides between equal scores."""

    number: int
    index: str


@dataclass(frozen=True, slots=True)
class FusedSearch:
    """A search that the bridge can fuse: both queries, and the options of the client."""

    body: Object  # the options of the URL are already in it
    knn: Object  # the vector leg
    window: int  # the hits of each leg on each shard that are fused
    depth: int  # the lexical hits of each shard. Those beyond the window follow the fused ones
    shards: tuple[Shard, ...]
    header: Object
    parameters: Mapping[str, str]  # of the `_msearch`
    preference: str
    totals_as_number: bool
    limit: int = MAX_RESULT_WINDOW  # of the depth
    processors: tuple[Object, ...] | None = None  # response processors for the page. None: there is no pipeline
    body_bytes: int = 0  # of the client's request

    @property
    def legs_size(self) -> int:
        """The bytes of the request for the legs, which has the query once for each of them."""
        return self.body_bytes * len(self.shards) * 2

    @property
    def filters(self) -> list[Json]:
        """The filter that applies to every hit of both legs."""
        options = self._knn_options
        return [options["filter"]] if "filter" in options else []

    @property
    def k(self) -> int:
        """The hits of the vector leg on each shard. All of them count in the total, so all of them are shown."""
        return max(number_of(self._knn_options.get("k")), self.window)

    @property
    def _knn_options(self) -> Object:
        clauses = self.knn["knn"]
        options = next(iter(clauses.values())) if isinstance(clauses, dict) else None
        return options if isinstance(options, dict) else {}

    @property
    def pit(self) -> Json:
        return self.body.get("pit")

    @property
    def group_field(self) -> str | None:
        """The field of `collapse`."""
        named = at(self.body.get("collapse"), "field")
        return named if isinstance(named, str) else None

    @property
    def tie_breakers(self) -> tuple[TieBreaker, ...]:
        """The fields that decide between equal scores."""
        return tie_breakers(self.body.get("sort")) or ()

    @property
    def cursor(self) -> Values | None:
        """The sort values of the hit that the page follows (`search_after`)."""
        given = self.body.get("search_after")
        return given if isinstance(given, list) else None

    @property
    def explains(self) -> bool:
        """Whether each hit of the page has an explanation of its score."""
        return self.body.get("explain") is True

    @property
    def start(self) -> int:
        return number_of(self.body.get("from", 0))

    @property
    def size(self) -> int:
        return number_of(self.body.get("size", 10))

    @property
    def counted(self) -> int | None:
        """The number up to which hits are counted. None: the client wants no total."""
        wanted = self.body.get("track_total_hits", True if self.totals_as_number else _COUNTED_BY_DEFAULT)
        if wanted is True or wanted == "true":
            return _EVERY_HIT
        number = -1 if wanted is False or wanted == "false" else number_of(wanted)
        return number if number >= 0 else None

    def deeper(self) -> "FusedSearch | None":
        """The same search with more lexical hits. None if there are as many as the cluster gives."""
        return None if self.depth >= self.limit else replace(self, depth=min(self.depth * _DEEPER, self.limit))


def plan_legs(
    body: Object,
    knn: Object,
    window: int,
    shards: Iterable[Shard],
    url: Mapping[str, str],
    *,
    token: str,
    limit: int = MAX_RESULT_WINDOW,
    processors: tuple[Object, ...] | None = None,
) -> FusedSearch:
    """Describe a search that the bridge can fuse. `body` has the lexical query.

    `token` makes both phases of a search of one shard read the same copy of it.
    """
    several = tuple(sorted(shards))
    preference = url.get("preference", "")
    if len(several) > 1 and not preference.startswith("_"):
        preference = "_primary_first"  # a text of the client's own cannot be combined with `_shards`
    search = FusedSearch(
        {**body, **_from_url(url)},
        knn,
        window,
        window,
        several,
        {name: url[name] for name in sorted(HEADER_PARAMETERS) if name in url},
        {name: url[name] for name in sorted(URL_PARAMETERS) if name in url},
        preference or token,
        url.get("rest_total_hits_as_int", "false") in ("", "true"),
        limit,
        processors,
    )
    return replace(search, depth=max(window, min(search.start + search.size, limit)))


def _from_url(url: Mapping[str, str]) -> Object:
    """The options of the URL as members of the body. The URL wins over the body in the cluster too."""
    said: Object = {name: url[name] for name in ("from", "size", "timeout", "track_total_hits") if name in url}
    source = source_of(url)
    return said if source is None else {**said, "_source": source}


def number_of(value: Json) -> int:
    """Read a number, which may be written as a text. Anything else is 0."""
    return int(value) if isinstance(value, int) or (isinstance(value, str) and is_number(value)) else 0
