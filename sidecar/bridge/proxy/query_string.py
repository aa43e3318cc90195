"""Reads query strings by name, and changes them without changing any other byte. Pure."""

import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote, unquote_plus

# Each parameter with the separator before it. OpenSearch (RestUtils) also separates at ";".
_PART: Final = re.compile(r"(^|[&;])([^&;]*)")
_EXCLUDES: Final = re.compile(r"((?:^|[&;])_source_excludes=)([^&;]*)")


def parameters(query: str) -> dict[str, str]:
    """The decoded parameters of a query string. A parameter without a value is "", which OpenSearch reads as true."""
    parts = (part.partition("=") for _, part in _PART.findall(query) if part)
    return {unquote_plus(name): unquote_plus(value) for name, _, value in parts}


def without_parameters(query: str, *names: str) -> str:
    """The query string without these parameters. Every other byte stays."""
    kept = [pair for pair in _PART.findall(query) if unquote_plus(pair[1].partition("=")[0]) not in names]
    return "".join(separator + part for separator, part in kept)[len(kept[0][0]) if kept else 0 :]


def with_parameters(query: str, added: Mapping[str, object]) -> str:
    """The query string with further parameters at its end."""
    parts = [f"{name}={quote(str(value), safe='')}" for name, value in added.items()]
    return "&".join([*([query] if query else []), *parts])


def with_source_excludes(query: str, fields: Sequence[str]) -> str:
    """The query string with fields added to `_source_excludes`."""
    if not fields:
        return query
    added = ",".join(quote(name, safe="") for name in fields)
    changed, count = _EXCLUDES.subn(lambda found: f"{found[1]}{found[2] and f'{found[2]},'}{added}", query, count=1)
    return changed if count else "&".join([*([query] if query else []), f"_source_excludes={added}"])


def join_target(path: str, query: str) -> str:
    """The request target of a path and a query."""
    return f"{path}?{query}" if query else path
