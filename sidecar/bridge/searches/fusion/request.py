"""A search as the bridge fuses it: on which shards, and with which of the client's options. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from sidecar.bridge.searches.rewrite.eligibility import MAX_RESULT_WINDOW, is_number
from sidecar.bridge.searches.rewrite.fusibility import HEADER_PARAMETERS, URL_PARAMETERS
from sidecar.jsontext import Json, Object, at

# A document as it was when a leg found it: the position of its shard, and the `_seq_no`, which changes when it does. A
# bare tuple, as one search of five shards makes a thousand of them.
HitKey: TypeAlias = tuple[int, int]

_COUNTED_BY_DEFAULT: Final = 10_000
_DEEPER: Final = 10  # times as many candidates as before


@dataclass(frozen=True, slots=True, order=True)
class Shard:
    """One shard of an index. They sort as the cluster visits them, which decides between equal scores."""

    number: int
    index: str


@dataclass(frozen=True, slots=True)
class FusedSearch:
    """A search that the bridge can fuse: both queries, and what the client asks for."""

    body: Object  # with what the URL says in place
    knn: Object  # of the first window
    windows: tuple[int, ...]  # candidates of each leg on each shard, the last the most
    shards: tuple[Shard, ...]
    header: Object
    parameters: Mapping[str, str]  # of the `_msearch`
    preference: str
    totals_as_number: bool
    processors: tuple[Object, ...] | None = None  # response processors for the page; None: no pipeline is in the way

    @property
    def filters(self) -> list[Json]:
        """What holds for every hit of both legs."""
        clauses = self.knn["knn"]
        options = next(iter(clauses.values())) if isinstance(clauses, dict) else None
        return [options["filter"]] if isinstance(options, dict) and "filter" in options else []

    @property
    def pit(self) -> Json:
        return self.body.get("pit")

    @property
    def group_field(self) -> str | None:
        """The field of `collapse`."""
        named = at(self.body.get("collapse"), "field")
        return named if isinstance(named, str) else None

    @property
    def start(self) -> int:
        return number_of(self.body.get("from", 0))

    @property
    def size(self) -> int:
        return number_of(self.body.get("size", 10))

    @property
    def counted(self) -> int | None:
        """How far hits are counted exactly; None: to the end; 0: not at all."""
        wanted = self.body.get("track_total_hits", True if self.totals_as_number else _COUNTED_BY_DEFAULT)
        if wanted is True or wanted == "true":
            return None
        return max(0, number_of(wanted)) if wanted not in (False, "false") else 0

    def deeper(self) -> "FusedSearch | None":
        """The same search with one window more; None if there may be none."""
        last = self.windows[-1]
        return None if last >= MAX_RESULT_WINDOW else replace(self, windows=windows_to(self.windows, last + 1))


def windows_to(windows: tuple[int, ...], depth: int) -> tuple[int, ...]:
    """The windows, and as many more as it takes to know the first `depth` places of the ranking."""
    while windows[-1] < depth:
        windows = (*windows, min(windows[-1] * _DEEPER, MAX_RESULT_WINDOW))
    return windows


def plan_legs(
    body: Object,
    knn: Object,
    windows: tuple[int, ...],
    shards: Iterable[Shard],
    url: Mapping[str, str],
    *,
    token: str,
    processors: tuple[Object, ...] | None = None,
) -> FusedSearch:
    """The search as the bridge fuses it, where it can. `body` holds the lexical query.

    `token` makes both phases of a search of one shard read the same copy of it.
    """
    several = tuple(sorted(shards))
    preference = url.get("preference", "")
    if len(several) > 1 and not preference.startswith("_"):
        preference = "_primary_first"  # a word of the client's own cannot be joined with `_shards`
    return FusedSearch(
        {**body, **_from_url(url)},
        knn,
        windows,
        several,
        {name: url[name] for name in sorted(HEADER_PARAMETERS) if name in url},
        {name: url[name] for name in sorted(URL_PARAMETERS) if name in url},
        preference or token,
        url.get("rest_total_hits_as_int", "false") in ("", "true"),
        processors,
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


def number_of(value: Json) -> int:
    """A number, which may be written as a text; 0 for anything else."""
    return int(value) if isinstance(value, int) or (isinstance(value, str) and is_number(value)) else 0
