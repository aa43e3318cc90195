"""Reads a `sort` by score and then by fields, which decide between equal scores, and the cursor of `search_after`.

Pure. The cluster makes the sort values of each shard. The bridge only compares them, so it must know how each type is
ordered. A missing keyword is null. A missing number is the least or the greatest one, and an endless one is a text.
"""

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cmp_to_key
from itertools import groupby
from typing import Final, TypeAlias, TypeVar

from sidecar.bridge.bindings.indices import BoundIndex
from sidecar.bridge.searches.rewrite.defaults import SCORE, is_by_score, sort_elements
from sidecar.jsontext import Json, Object

Key = TypeVar("Key", bound=Hashable)
Values: TypeAlias = Sequence[Json]  # the sort values of a document behind its score

_OPTIONS: Final = frozenset({"missing", "mode", "order", "unmapped_type"})
_ORDERS: Final = ("asc", "desc")
_NUMBER, _TIME, _TEXT = "number", "time", "text"
_KINDS: Final = {
    **dict.fromkeys(("boolean", "byte", "integer", "long", "short", "unsigned_long"), _NUMBER),
    **dict.fromkeys(("double", "float", "half_float", "scaled_float"), _NUMBER),
    **dict.fromkeys(("date", "date_nanos"), _TIME),
    "keyword": _TEXT,
}
_METADATA: Final = {"_doc": _NUMBER, "_id": _TEXT, "_index": _TEXT}
_WRITTEN: Final = re.compile(r"[+-]?(?:Infinity|[0-9]{1,20}(?:\.[0-9]{1,20})?(?:[eE][+-]?[0-9]{1,3})?)")


@dataclass(frozen=True, slots=True)
class TieBreaker:
    """One key of a `sort`, behind the score."""

    field: str
    is_descending: bool = False
    nulls_first: bool = False
    unmapped_type: str | None = None

    def compare(self, one: Json, other: Json) -> int:
        """Negative if a document with the value `one` comes before one with the value `other`."""
        if one is None or other is None:
            return 0 if one is other else (-1 if (one is None) is self.nulls_first else 1)
        if isinstance(one, str) is not isinstance(other, str):
            one, other = _number(one), _number(other)
        if one == other:
            return 0
        is_less: bool = one < other  # type: ignore[operator]  # two texts or two numbers
        return 1 if is_less is self.is_descending else -1


def tie_breakers(sort: Json) -> tuple[TieBreaker, ...] | None:
    """The keys behind the score. None if the order is another one, or has options that we do not know."""
    elements = sort_elements(sort)
    if not elements or not is_by_score(elements[0]):
        return None
    read = [_tie_breaker(element) for element in elements[1:]]
    found = tuple(key for key in read if key is not None)
    return found if 0 < len(found) == len(read) else None


def can_break_ties(body: Object, indices: Sequence[BoundIndex]) -> bool:
    """Whether the bridge can compare the sort values of these indices, and the cursor of the search, if it has one."""
    kinds = [_kind_of(key, indices) for key in tie_breakers(body.get("sort")) or ()]
    if not kinds or None in kinds:
        return False
    if "search_after" not in body:
        return True
    cursor = body["search_after"]
    return (
        isinstance(cursor, list)
        and len(cursor) == 1 + len(kinds)
        and all(_is_of(kind, value) for kind, value in zip((_NUMBER, *kinds), cursor, strict=True))
        and "collapse" not in body  # the cluster refuses both together
    )


def in_order(
    ranked: Mapping[Key, float], values: Mapping[Key, Values], keys: Sequence[TieBreaker]
) -> Mapping[Key, float]:
    """Order the documents with equal scores by their values. Documents that are equal in all keep their order."""

    def compared(one: Key, other: Key) -> int:
        return _compared(keys, values[one], values[other])

    ordered: list[Key] = []
    for _, equal in groupby(ranked, ranked.__getitem__):
        ordered += sorted(equal, key=cmp_to_key(compared))
    return {document: ranked[document] for document in ordered}


def is_behind(score: float, values: Values, cursor: Values, keys: Sequence[TieBreaker]) -> bool:
    """Whether a document with this score and these values comes after `cursor`."""
    return _compared((TieBreaker(SCORE, is_descending=True), *keys), (score, *values), cursor) > 0


def is_ahead(cursor: Values | None, best: float) -> bool:
    """Whether a cursor has a better score than the best hit, so that it was taken from another ranking."""
    return cursor is not None and TieBreaker(SCORE, is_descending=True).compare(cursor[0], best) < 0


def _tie_breaker(element: Json) -> TieBreaker | None:
    if isinstance(element, str):
        return None if element == SCORE else TieBreaker(element)
    if not isinstance(element, dict):
        return None
    ((field, options),) = element.items()
    if isinstance(options, str):
        options = {"order": options}
    if field == SCORE or not isinstance(options, dict) or not options.keys() <= _OPTIONS:
        return None
    order, unmapped = options.get("order", "asc"), options.get("unmapped_type")
    if not isinstance(order, str) or order.lower() not in _ORDERS or not isinstance(unmapped, str | None):
        return None
    return TieBreaker(field, order.lower() == "desc", options.get("missing") == "_first", unmapped)


def _kind_of(key: TieBreaker, indices: Sequence[BoundIndex]) -> str | None:
    """The kind of a key's values. None if they cannot be compared, or the cluster refuses to sort by them."""
    if key.field in _METADATA:
        return _METADATA[key.field]
    types = {dict(index.mapped).get(key.field, key.unmapped_type) for index in indices}
    return _KINDS.get(types.pop() or "") if len(types) == 1 else None


def _is_of(kind: str | None, value: Json) -> bool:
    if kind == _TEXT:
        return isinstance(value, str | None)
    if isinstance(value, str):  # the cluster reads a text as a date
        return kind == _NUMBER and _WRITTEN.fullmatch(value) is not None
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: Json) -> Json:
    if not isinstance(value, str):
        return value
    return int(value) if value.lstrip("+-").isdigit() else float(value)


def _compared(keys: Sequence[TieBreaker], one: Values, other: Values) -> int:
    """Negative if the values `one` come before the values `other`."""
    compared = (key.compare(*pair) for key, *pair in zip(keys, one, other, strict=True))
    return next((order for order in compared if order), 0)
