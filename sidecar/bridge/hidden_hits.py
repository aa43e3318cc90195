"""Leaves the hidden fields out of all hits of a search: its own, those of `top_hits`, and `inner_hits`.

Pure. Only the members of the body that must change are given, so that the others keep their bytes.
"""

from collections.abc import Mapping
from typing import Final

from sidecar.bridge.hidden_fields import Hidden
from sidecar.bridge.hidden_source import (
    SOURCE_PARAMETERS,
    STORED_FIELDS,
    excludes_beside,
    excludes_of,
    is_filter,
    loads_source,
    source_without,
)
from sidecar.bridge.splice import members, replace_member, splice
from sidecar.jsontext import Json, Object, dumps, loads, plain_json

_AGGREGATIONS: Final = ("aggs", "aggregations")
_QUERIES: Final = ("query", "post_filter")
_JOINS: Final = frozenset({"nested", "has_child", "has_parent"})
_INNER_HITS: Final = "inner_hits"
_SOURCE: Final = "_source"

# A request that gets one of these with our fields excluded is sent again in the client's own words.
REFUSALS: Final = frozenset({400, 500})
_MAX_READ_BYTES: Final = 1_048_576  # more would hold the interpreter for too long


def hide_in_search(body: Object, url: Mapping[str, str], hidden: Hidden) -> tuple[Object, tuple[str, ...]]:
    """The members of a search to replace, and the fields to exclude by URL.

    The URL's `_source…` parameters replace the body's `_source`. If neither says anything, the fields are excluded by
    URL, and the body stays as it is.
    """
    if not hidden.fields or not hidden.in_source:
        return {}, ()
    changed, excludes = _hide_in_hits(body, url, hidden)
    for name in _AGGREGATIONS:
        changed |= _member(body, name, _in_aggregations(body.get(name), hidden))
    for name in _QUERIES:
        changed |= _member(body, name, _in_query(body.get(name), hidden))
    changed |= _member(body, "collapse", _in_collapse(body.get("collapse"), hidden))
    return changed, excludes


def hide_in_text(text: bytes, url: Mapping[str, str], hidden: Hidden) -> tuple[Object, tuple[str, ...]]:
    """Do the same for a body that cannot be written again unchanged, or that we cannot read at all.

    Inner hits of such a body stay as they are. If a body may say in a form that we cannot read what its hits show, all
    of it stays.
    """
    if not hidden.fields or not hidden.in_source:
        return {}, ()
    body = _read(text)
    if body is not None:
        return _hide_in_hits(body, url, hidden)
    return {}, excludes_beside(text, url, hidden)


def with_excludes(body: Object, excludes: tuple[str, ...]) -> Object:
    """A search that excludes fields itself, because no URL can."""
    wish: Json = {"excludes": list(excludes)}
    return {**body, _SOURCE: wish} if excludes else body


def replaced(text: bytes, changed: Object) -> bytes:
    """A body with some members replaced or added. The others keep their bytes: the cluster's errors name columns."""
    text = plain_json(text)
    given = {member.key for member in members(text)}
    for name in changed.keys() & given:
        text = replace_member(text, name, dumps(changed[name]))
    return splice(text, {name: dumps(value) for name, value in changed.items() if name not in given})


def is_object(text: bytes) -> bool:
    """Whether a body is a JSON object whose members can be replaced."""
    return _read(text) is not None


def _read(text: bytes) -> Object | None:
    if len(text) > _MAX_READ_BYTES:
        return None
    try:
        parsed = loads(text)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None


def _hide_in_hits(options: Object, url: Mapping[str, str], hidden: Hidden) -> tuple[Object, tuple[str, ...]]:
    changed = _fields_of_hits(options, hidden)
    source = options.get(_SOURCE)
    if any(name in url for name in SOURCE_PARAMETERS):
        return changed, excludes_of(url, hidden)
    if source is None and _SOURCE in options:
        return changed, ()  # the cluster refuses null
    if source is None:
        stored: Object = {STORED_FIELDS: list(url[STORED_FIELDS].split(","))} if STORED_FIELDS in url else {}
        return changed, hidden.fields if loads_source({**options, **stored}) else ()
    if source is True:
        return changed, hidden.fields
    if is_filter(source):
        changed |= _member(options, _SOURCE, source_without(source, hidden))
    return changed, ()


def _fields_of_hits(options: Object, hidden: Hidden) -> Object:
    changed: Object = {}
    for name, is_strict in (("fields", False), ("docvalue_fields", True)):
        if name in options:
            changed |= _member(options, name, hidden.without_patterns(options[name], is_strict=is_strict))
    return changed


def _hits(options: Json, hidden: Hidden) -> Json:
    """The options of hits within a search, which have no URL of their own."""
    if not isinstance(options, dict):
        return options
    changed, excludes = _hide_in_hits(options, {}, hidden)
    return with_excludes({**options, **changed}, excludes)


def _member(options: Object, name: str, value: Json) -> Object:
    return {} if value == options.get(name) else {name: value}


def _in_aggregations(given: Json, hidden: Hidden) -> Json:
    return {name: _in_aggregation(one, hidden) for name, one in given.items()} if isinstance(given, dict) else given


def _in_aggregation(one: Json, hidden: Hidden) -> Json:
    if not isinstance(one, dict):
        return one
    return {
        name: _hits(value, hidden)
        if name == "top_hits"
        else _in_aggregations(value, hidden)
        if name in _AGGREGATIONS
        else value
        for name, value in one.items()
    }


def _in_collapse(collapse: Json, hidden: Hidden) -> Json:
    if not isinstance(collapse, dict) or _INNER_HITS not in collapse:
        return collapse
    inner = collapse[_INNER_HITS]
    several = [_hits(one, hidden) for one in inner] if isinstance(inner, list) else _hits(inner, hidden)
    return {**collapse, _INNER_HITS: several}


def _in_query(query: Json, hidden: Hidden) -> Json:
    if isinstance(query, list):
        return [_in_query(one, hidden) for one in query]
    if not isinstance(query, dict):
        return query
    return {
        name: _in_join(value, hidden) if name in _JOINS and isinstance(value, dict) else _in_query(value, hidden)
        for name, value in query.items()
    }


def _in_join(options: Object, hidden: Hidden) -> Object:
    return {
        name: _hits(value, hidden) if name == _INNER_HITS else _in_query(value, hidden)
        for name, value in options.items()
    }
