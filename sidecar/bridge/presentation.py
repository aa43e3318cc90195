"""An answer that the bridge has composed, as the cluster would write it for this client: `filter_path` and `pretty`.

Pure. Values keep their bytes: nothing is parsed and written anew.
"""

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Final, TypeAlias

from sidecar.bridge.splice import elements, members

# What of a URL concerns only how its answer is written; an answer that is composed is asked for without.
FILTER_PATH: Final = "filter_path"
PARAMETERS: Final = (FILTER_PATH, "format", "pretty")

_Path: TypeAlias = tuple[str, ...]  # patterns of keys, from the outermost in
_Paths: TypeAlias = tuple[_Path, ...]

_BINARY: Final = ("cbor", "smile")
_DEEP: Final = "**"
_SEPARATOR: Final = re.compile(r"(?<!\\)\.")
_ESCAPED: Final = re.compile(r"\\.")
_LITERAL: Final = re.compile(r"([?[])")
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s"{}\[\],:]+')


def present(body: bytes, parameters: Mapping[str, str]) -> bytes:
    """A JSON object as the parameters of the URL ask for it."""
    body = filtered(body, parameters.get(FILTER_PATH, ""))
    return indented(body) if wants_pretty(parameters) else body


def wants_pretty(parameters: Mapping[str, str]) -> bool:
    """Whether the URL asks for lines and spaces."""
    return parameters.get("pretty", "false") in ("", "true")


def is_binary(parameters: Mapping[str, str], accept: str) -> bool:
    """Whether a client wants its answer in a format that is not text; JSON is YAML, too."""
    wanted = parameters.get("format") or accept.partition(";")[0].strip().removeprefix("application/")
    return wanted.lower() in _BINARY


def filtered(body: bytes, filter_path: str) -> bytes:
    """An object with what `filter_path` lets through: what it names, without what it names with a minus sign.

    As FilterPath and FilterPathBasedFilter of OpenSearch do it: an array is filtered element by element, and what has
    nothing left in it is left out itself, but for the outermost object.
    """
    given = [one for name in filter_path.split(",") if (one := name.strip())]
    included = _paths(name for name in given if not name.startswith("-"))
    excluded = _paths(name[1:] for name in given if name.startswith("-"))
    if included:
        body = _kept(body, included, is_wanted=True) or b"{}"
    return (_kept(body, excluded, is_wanted=False) or b"{}") if excluded else body


def indented(body: bytes) -> bytes:
    """JSON with a line for each member and element."""
    written: list[bytes] = []
    depth, before = 0, b""
    for token in _TOKEN.findall(body):
        closes = token in (b"}", b"]")
        depth -= closes
        if closes and before in (b"{", b"["):
            written.append(b" ")
        elif closes or before in (b"{", b"[", b","):
            written.append(b"\n" + b"  " * depth)
        written.append(b" : " if token == b":" else token)
        depth += token in (b"{", b"[")
        before = token
    return b"".join(written) + b"\n"


def _paths(names: Iterator[str]) -> _Paths:
    return tuple(tuple(_ESCAPED.sub(".", part) for part in _parts(name)) for name in names if name.strip())


def _parts(name: str) -> list[str]:
    *parts, last = _SEPARATOR.split(name)
    return [*parts, last] if last or not parts else parts  # a dot at the end says nothing


def _kept(value: bytes, paths: _Paths, *, is_wanted: bool) -> bytes | None:
    """What is left of a value of which the paths name a part; None: nothing."""
    match value[:1]:
        case b"{":
            parts = [
                value[member.start : member.value_start] + part
                for member in members(value)
                if (part := _member(value[member.value_start : member.value_end], member.key, paths, is_wanted))
                is not None
            ]
            return b"{" + b",".join(parts) + b"}" if parts else None
        case b"[":
            parts = [
                part for element in elements(value) if (part := _kept(element, paths, is_wanted=is_wanted)) is not None
            ]
            return b"[" + b",".join(parts) + b"]" if parts else None
        case _:
            return None if is_wanted else value


def _member(value: bytes, key: str, paths: _Paths, is_wanted: bool) -> bytes | None:
    further = _below(paths, key)
    if further is None:
        return value if is_wanted else None
    if not further:
        return None if is_wanted else value
    return _kept(value, further, is_wanted=is_wanted)


def _below(paths: _Paths, key: str) -> _Paths | None:
    """The paths that go on below a key; None: one ends here, and so names all that is below."""
    further: list[_Path] = []
    for path in paths:
        if not _matches(path[0], key):
            continue
        if len(path) == 1:
            return None
        if path[0] == _DEEP:
            further.append(path)
        further.append(path[1:])
    return tuple(dict.fromkeys(further))  # else they double with each level, for several `**` in a row


def _matches(glob: str, key: str) -> bool:
    """Only `*` is special; `fnmatch` matches any number of them in linear time."""
    return fnmatchcase(key, _LITERAL.sub(r"[\1]", glob))
