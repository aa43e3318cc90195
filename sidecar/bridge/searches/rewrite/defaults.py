"""Reads the options of a search by their values. An option that changes nothing is no option.

Pure. Java clients write every option into each search, mostly with its default value. Nearly all of these defaults were
compared with an absent option on a real node. `docs/search.md` has the table.
"""

import re
from collections.abc import Mapping
from typing import Final

from sidecar.jsontext import Json, Object

SORT: Final = "sort"
SCORE: Final = "_score"
_TRACK_SCORES: Final = "track_scores"
_ORDERS: Final = ("asc", "desc")

_FLAGS: Final = (
    "explain", "include_named_queries_score", "profile", "seq_no_primary_term", "verbose_pipeline", "version",
)  # fmt: skip
# The flags of the URL, with the meaning of an empty value.
_URL_FLAGS: Final = {
    "explain": False,
    "include_named_queries_score": True,
    "seq_no_primary_term": False,
    _TRACK_SCORES: True,
    "verbose_pipeline": True,
    "version": False,
}
_FLAG_TEXTS: Final = ("false", "true")
_EMPTY: Final[Mapping[str, tuple[Json, ...]]] = {
    "aggregations": ({},),
    "aggs": ({},),
    "derived": ({},),
    "docvalue_fields": ([],),
    "ext": ({},),
    "fields": ([],),
    "highlight": ({},),
    "indices_boost": ([], {}),
    "rescore": ([],),
    "script_fields": ({},),
    SORT: ([], {}),
    "stats": ([],),
    "suggest": ({},),
}
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,10}(?:\.[0-9]{1,10})?")
_NUMBERS: Final = ("from", "size", "terminate_after")


def without_defaults(body: Object, url: Mapping[str, str]) -> tuple[Object, dict[str, str]]:
    """The options that change the answer. The URL wins over the body, but its `sort` follows that of the body.

    Options of the URL that the body can say too may move there. A value that the cluster refuses stays where it is.
    """
    said, left = _with_url(body, url)
    sorts = sort_elements(said.get(SORT, []))
    kept: Object = {}
    for name, value in said.items():
        meant = _meant(name, value)
        if not _is_default(name, meant):
            kept[name] = meant
    if sorts is not None and all(map(is_by_score, sorts[:1])) and len(sorts) <= 1:
        kept.pop(SORT, None)  # the order that every search has
        if _is_flag(kept.get(_TRACK_SCORES)):
            del kept[_TRACK_SCORES]  # without another order, scores are tracked anyway
    return kept, left


def _with_url(body: Object, url: Mapping[str, str]) -> tuple[Object, dict[str, str]]:
    """The body with the options of the URL that it can say too, and the rest of the URL."""
    said, left = dict(body), dict(url)
    for name, empty in _URL_FLAGS.items():
        if left.get(name) in ("", *_FLAG_TEXTS):
            said[name] = {"": empty, "false": False, "true": True}[left.pop(name)]
    if left.get("terminate_after") == "0":
        said["terminate_after"] = int(left.pop("terminate_after"))
    if left.get("timeout") == "-1":
        said["timeout"] = left.pop("timeout")
    given = sort_elements(said.get(SORT, []))
    if SORT in left and given is not None:
        said[SORT] = [*given, *_url_sorts(left.pop(SORT))]
    return said, left


def _meant(name: str, value: Json) -> Json:
    """The value in its usual form. The cluster also reads booleans and numbers from texts, and cuts off fractions."""
    if name in (*_FLAGS, _TRACK_SCORES, "track_total_hits") and value in _FLAG_TEXTS:
        return value == "true"
    number = _number(value)
    return int(number) if name in _NUMBERS and number is not None else value


def _is_default(name: str, value: Json) -> bool:
    if name in _EMPTY:
        return any(value == empty for empty in _EMPTY[name])
    if name == "min_score":  # no score of the cluster is negative
        number = _number(value)
        return number is not None and number <= 0
    if name == "terminate_after":
        return _number(value) == 0
    if name == "timeout":
        return str(value) == "-1"
    return name in _FLAGS and value is False


def _number(value: Json) -> float | None:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _is_flag(value: Json) -> bool:
    return isinstance(value, bool)


def is_by_score(sort: Json) -> bool:
    """Whether one element of a `sort` is the order by score, the best first."""
    if sort == SCORE:
        return True
    if not isinstance(sort, dict) or sort.keys() != {SCORE}:
        return False
    options = sort[SCORE]
    if isinstance(options, dict) and options.keys() <= {"order"}:
        options = options.get("order", "desc")
    return isinstance(options, str) and options.lower() == "desc"


def sort_elements(sort: Json) -> list[Json] | None:
    """The elements of a `sort`. One object may hold several. None if it has another form."""
    given = sort if isinstance(sort, list) else [sort]
    found: list[Json] = []
    for element in given:
        if isinstance(element, dict):
            found += [{name: options} for name, options in element.items()]
        elif isinstance(element, str):
            found.append(element)
        else:
            return None
    return found


def _url_sorts(text: str) -> list[Json]:
    """The `sort` of a URL in the form of a body. The cluster passes over an order that is none."""
    found: list[Json] = []
    for part in filter(None, text.split(",")):
        name, colon, order = part.rpartition(":")
        if not colon:
            found.append(part)
        elif order in _ORDERS:
            found.append({name: {"order": order}})
    return found
