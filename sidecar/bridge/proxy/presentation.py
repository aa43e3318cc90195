"""An answer that the bridge has composed, as the cluster would write it for this client: `filter_path` and `pretty`.

Pure. Values keep their bytes: nothing is parsed and written anew.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final, TypeAlias

from sidecar.jsontext import loads

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
_TO_BRACKET: Final = re.compile(rb'(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+([{}\[\]])')


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


@dataclass(frozen=True, slots=True)
class _Level:
    """The paths that hold at a place; the keys of one item come again in every other."""

    paths: _Paths
    known: dict[str, "_Level | None"] = field(default_factory=dict)

    def below(self, key: str) -> "_Level | None":
        """The paths that go on below a key; None: one ends here, and so names all that is below."""
        if key not in self.known:
            paths = _below(self.paths, key)
            self.known[key] = None if paths is None else _Level(paths)
        return self.known[key]


@dataclass(slots=True)
class _Open:
    """An object or array of which the paths name a part, while it is read."""

    level: _Level
    head: bytes = b""  # the key, as it stands, and the bracket
    tail: bytes = b""  # the other bracket
    parts: list[bytes] = field(default_factory=list)
    key: re.Match[bytes] | None = None  # of the member that is read; None: a key comes next


def _kept(body: bytes, paths: _Paths, *, is_wanted: bool) -> bytes | None:
    """What is left of an object of which the paths name a part; None: nothing. A loop, for answers may be deep."""
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
    """Where the value ends that starts with a token."""
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
    return tuple(dict.fromkeys(further))  # else they double with each level, for several `**` in a row


def _matches(glob: str, key: str) -> bool:
    """Only `*` is special; `fnmatch` matches any number of them in linear time."""
    return fnmatchcase(key, _LITERAL.sub(r"[\1]", glob))
