"""Leaves the hidden fields out of `_source`, as the parameters of a URL or a body ask for it.

Pure. Nothing is hidden by asking for a `_source` that the client did not ask for.
"""

import re
from collections.abc import Mapping
from typing import Final

from sidecar.bridge.hidden_fields import Hidden
from sidecar.jsontext import Json, NumberText, Object, clauses

SOURCE_PARAMETERS: Final = ("_source", "_source_includes", "_source_excludes")
STORED_FIELDS: Final = "stored_fields"

_SOURCE: Final = "_source"
_FILTERS: Final = frozenset({"includes", "include", "excludes", "exclude"})
# In a body that we cannot read, a member of one of these names could say which parts of documents the client wants.
_WISH: Final = re.compile(rb"source|fields|\\")


def excludes_of(url: Mapping[str, str], hidden: Hidden, *, by_default: bool = True) -> tuple[str, ...]:
    """The fields to add to `_source_excludes`. `by_default` tells whether the route shows `_source` unasked."""
    if any(name in url for name in SOURCE_PARAMETERS):
        if url.get(_SOURCE) == "false":
            return ()
        return hidden.without_named(url.get("_source_includes", url.get(_SOURCE, "")).split(","))
    if STORED_FIELDS in url:
        by_default = _SOURCE in url[STORED_FIELDS].split(",")
    return hidden.fields if by_default else ()


def excludes_beside(text: bytes, url: Mapping[str, str], hidden: Hidden) -> tuple[str, ...]:
    """The fields to add to `_source_excludes` beside a body that we cannot read.

    If the body may say what the client wants, there are none: the URL would win over it.
    """
    says_more = not any(name in url for name in SOURCE_PARAMETERS) and _WISH.search(text)
    return () if says_more else excludes_of(url, hidden)


def source_of(url: Mapping[str, str]) -> Json:
    """The `_source` of a body that means the same as these parameters of a URL. None if there are none."""
    if not any(name in url for name in SOURCE_PARAMETERS):
        return None
    named = url.get(_SOURCE, "true")
    if named == "false":
        return False
    plain = [] if named in ("", "true") else named.split(",")
    includes = url["_source_includes"].split(",") if "_source_includes" in url else plain
    return {
        "includes": list(includes),
        "excludes": [name for name in url.get("_source_excludes", "").split(",") if name],
    }


def loads_source(options: Object) -> bool:
    """Whether hits with these options have a `_source`, although the options do not say so."""
    if STORED_FIELDS in options:
        return _SOURCE in clauses(options[STORED_FIELDS])
    return not options.get("script_fields")


def is_filter(source: Json) -> bool:
    """Whether the cluster reads a `_source` as a filter. It refuses any other form, in words about that form."""
    if isinstance(source, dict):
        return source.keys() <= _FILTERS and all(map(_is_names, source.values()))
    return _is_names(source)


def source_without(source: Json, hidden: Hidden) -> Json:
    """The `_source` that leaves out the hidden fields, except those that it includes by name."""
    if isinstance(source, dict):
        options = dict(source)
        includes = clauses(options.get(_last(options, "includes", "include")))
        key = _last(options, "excludes", "exclude")
    else:
        includes, options, key = clauses(source), {"includes": clauses(source)}, "excludes"
    added = hidden.without_named(includes)
    return {**options, key: [*clauses(options.get(key)), *added]} if added else source


def _is_names(value: Json) -> bool:
    return _is_name(value) or (isinstance(value, list) and all(map(_is_name, value)))


def _is_name(value: Json) -> bool:
    return isinstance(value, str) and not isinstance(value, NumberText)


def _last(options: Object, name: str, other: str) -> str:
    """The one of two names of an option that counts: the later one, as in the cluster."""
    return next((given for given in reversed(options) if given in (name, other)), name)
