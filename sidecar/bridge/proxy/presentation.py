"""Applies `filter_path` and `pretty` to an answer that the bridge has composed, as the cluster would do.

Pure. Values keep their bytes, because none is parsed and written again.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final, TypeAlias

from sidecar.jsontext import loads

# Parameters of a URL that concern only the form of the answer. If the bridge composes an answer, its own requests to
# the cluster leave them out.
FILTER_PATH: Final = "filter_path"
PARAMETERS: Final = (FILTER_PATH, "format", "pretty")

_Path: TypeAlias = tuple[str, ...]  # patterns of keys, the outermost first
_Paths: TypeAlias = tuple[_Path, ...]

JSON: Final = "json"
_BINARY: Final = ("cbor", "smile")
_OTHER_FORMATS: Final = (*_BINARY, "yaml")
_DEEP: Final = "**"
_SEPARATOR: Final = re.compile(r"(?<!\\)\.")
_ESCAPED: Final = re.compile(r"\\.")
_LITERAL: Final = re.compile(r"([?[])")
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s"{}\[\],:]+')
_TO_BRACKET: Final = re.compile(rb'(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+([{}\[\]])')


def present(body: bytes, parameters: Mapping[str, str]) -> bytes:
    """Write a JSON object in the form that the parameters of the URL ask for."""
    body = filtered(body, parameters.get(FILTER_PATH, ""))
    return indented(body) if wants_pretty(parameters) else body


def wants_pretty(parameters: Mapping[str, str]) -> bool:
    """Whether the URL asks for an indented answer."""
    return parameters.get("pretty", "false") in ("", "true")


def asked_format(accept: str) -> dict[str, str]:
    """The parameter of a URL that asks for what an `Accept` header asks for. None if that is JSON."""
    wanted = accept.partition(";")[0].strip().lower().removeprefix("application/")
    return {"format": wanted} if wanted in _OTHER_FORMATS else {}


def body_format(content_type: str) -> str:
    """The format of a body with this content type: "json", "yaml", "cbor" or "smile"."""
    return asked_format(content_type).get("format", JSON)


def is_binary(parameters: Mapping[str, str], accept: str) -> bool:
    """Whether a client wants an answer in a binary format. A client that wants YAML can read JSON.

    With the content type of a request as `accept` it says whether the body is binary.
    """
    wanted = parameters.get("format") or accept.partition(";")[0].strip().removeprefix("application/")
    return wanted.lower() in _BINARY


def filtered(body: bytes, filter_path: str) -> bytes:
    """Keep the parts of an object that `filter_path` names, except those that it names with a minus sign.

    FilterPath and FilterPathBasedFilter of OpenSearch have the same rules: An array is filtered element by element. An
    object or array of which nothing remains is left out itself, except for the outermost object.
    """
    given = [one for name in filter_path.split(",") if (one := name.strip())]
    included = _paths(name for name in given if not name.startswith("-"))
    excluded = _paths(name[1:] for name in given if name.startswith("-"))
    if included:
        body = _kept(body, included, is_wanted=True) or b"{}"
    return (_kept(body, excluded, is_wanted=False) or b"{}") if excluded else body


def indented(body: bytes) -> bytes:
    """Write JSON with a line for each member and element."""
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
    return [*parts, last] if last or not parts else parts  # a dot at the end has no meaning


@dataclass(frozen=True, slots=True)
class _Level:
    """The paths that apply at a place. Known keys are kept, because the items of an answer have the same keys."""

    paths: _Paths
    known: dict[str, "_Level | None"] = field(default_factory=dict)

    def below(self, key: str) -> "_Level | None":
        """The paths that apply below a key. None: a path ends at this key, so it names everything below."""
        if key not in self.known:
            paths = _below(self.paths, key)
            self.known[key] = None if paths is None else _Level(paths)
        return self.known[key]


@dataclass(slots=True)
class _Open:
    """An object or array that is being read, and of which the paths name a part."""

    level: _Level
    head: bytes = b""  # the bytes of the key and of the opening bracket
    tail: bytes = b""  # the closing bracket
    parts: list[bytes] = field(default_factory=list)
    key: re.Match[bytes] | None = None  # of the member that is being read. None: a key is next


def _kept(body: bytes, paths: _Paths, *, is_wanted: bool) -> bytes | None:
    """The parts of an object that remain. None: no part remains.

    A loop and no recursion, because answers may be nested deeply.
    """
    opened, position = [_Open(_Level(paths))], 0
    while token := _TOKEN.search(body, position):
        here, first, position = opened[-1], token[0][:1], token.end()
        if first in b"}]":
            opened.pop()
            if here.parts:
                opened[-1].parts.append(here.head + b",".join(here.parts) + here.tail)
        elif first in b",:":
            continue
        elif here.tail == b"}" and here.key is None:
            here.key = token
        else:
            start = token.start() if here.key is None else here.key.start()
            further = here.level if here.key is None else here.level.below(str(loads(here.key[0])))
            here.key = None
            if further is None or not further.paths:
                position = _end(body, token)
                if is_wanted == (further is None):
                    here.parts.append(body[start:position])
            elif first in b"{[":
                opened.append(_Open(further, body[start:position], b"}" if first == b"{" else b"]"))
            elif not is_wanted:
                here.parts.append(body[start:position])
    return b"".join(opened[0].parts) or None


def _end(body: bytes, token: re.Match[bytes]) -> int:
    """The end of the value that starts with a token."""
    depth, position = int(token[0] in b"{["), token.end()
    while depth and (bracket := _TO_BRACKET.match(body, position)):
        depth += 1 if bracket[1] in b"{[" else -1
        position = bracket.end()
    return position


def _below(paths: _Paths, key: str) -> _Paths | None:
    further: list[_Path] = []
    for path in paths:
        if not _matches(path[0], key):
            continue
        if len(path) == 1:
            return None
        if path[0] == _DEEP:
            further.append(path)
        further.append(path[1:])
    return tuple(dict.fromkeys(further))  # several `**` in a row would double their number with each level


def _matches(glob: str, key: str) -> bool:
    """Match a key with a pattern in which only `*` is special. `fnmatch` takes linear time for any number of `*`."""
    return fnmatchcase(key, _LITERAL.sub(r"[\1]", glob))
