"""Reads query strings by name, and changes them without changing any other byte. Pure."""

from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl, quote, unquote_plus


def parameters(query: str) -> dict[str, str]:
    """The decoded parameters of a query string. A parameter without a value is "", which OpenSearch reads as true."""
    return dict(parse_qsl(query, keep_blank_values=True))


def without_parameters(query: str, *names: str) -> str:
    """The query string without these parameters. Every other byte stays."""
    return "&".join(part for part in query.split("&") if unquote_plus(part.partition("=")[0]) not in names)


def with_parameters(query: str, added: Mapping[str, object]) -> str:
    """The query string with further parameters at its end."""
    parts = [f"{name}={quote(str(value), safe='')}" for name, value in added.items()]
    return "&".join([*([query] if query else []), *parts])


def with_source_excludes(query: str, fields: Sequence[str]) -> str:
    """The query string with fields added to `_source_excludes`."""
    if not fields:
        return query
    added = ",".join(quote(name, safe="") for name in fields)
    parts = [part for part in query.split("&") if part]
    for position, part in enumerate(parts):
        if part.startswith("_source_excludes="):
            parts[position] = f"{part},{added}" if part != "_source_excludes=" else part + added
            return "&".join(parts)
    return "&".join([*parts, f"_source_excludes={added}"])


def join_target(path: str, query: str) -> str:
    """The request target of a path and a query."""
    return f"{path}?{query}" if query else path
