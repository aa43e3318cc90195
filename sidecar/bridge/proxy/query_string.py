"""Reads query strings by name, and changes them without changing any other byte.

Pure. As in the cluster, parameters end at "&" or ";", names may be percent-encoded, and the last of several with one
name counts.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import parse_qsl, quote, unquote_plus

_PART: Final = re.compile("[^&;]+[&;]?|[&;]")  # a parameter and its end
_EXCLUDES: Final = "_source_excludes"
_JSON: Final = ("application/json", "application/x-ndjson")


def parameters(query: str) -> dict[str, str]:
    """The decoded parameters of a query string. A parameter without a value is "", which OpenSearch reads as true."""
    return dict(parse_qsl(query.replace(";", "&"), keep_blank_values=True))


def without_parameters(query: str, *names: str) -> str:
    """The query string without these parameters. Every other byte stays."""
    parts = _PART.findall(query)
    kept = [part for part in parts if unquote_plus(part.rstrip("&;").partition("=")[0]) not in names]
    return "".join(kept).rstrip("&;") if len(kept) < len(parts) else query


def with_parameters(query: str, added: Mapping[str, object]) -> str:
    """The query string with further parameters at its end."""
    parts = [f"{name}={quote(str(value), safe='')}" for name, value in added.items()]
    return "&".join([*([query] if query else []), *parts])


def with_source_excludes(query: str, fields: Sequence[str]) -> str:
    """The query string with fields added to `_source_excludes`."""
    if not fields:
        return query
    given = parameters(query).get(_EXCLUDES, "")
    every = ",".join([*([given] if given else ()), *fields])
    rest = without_parameters(query, _EXCLUDES)
    return "&".join([*([rest] if rest else ()), f"{_EXCLUDES}={quote(every, safe=',')}"])


def body_in_query(query: str) -> tuple[bytes, str] | None:
    """The JSON body that a query string carries in `source`, and the rest of the query string. None if it has none."""
    given = parameters(query)
    if "source" not in given or given.get("source_content_type", "").partition(";")[0].strip().lower() not in _JSON:
        return None
    rest = without_parameters(query, "source", "source_content_type")
    return given["source"].encode(), rest


def join_target(path: str, query: str) -> str:
    """The request target of a path and a query."""
    return f"{path}?{query}" if query else path
