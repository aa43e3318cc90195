"""Adds members to a JSON object, or removes them, and changes no other byte of it. Pure.

Writing a parsed document again would change long integers, the text of floats, the order of keys and duplicate keys.
Callers pass only bytes that have been parsed as JSON before.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from sidecar.jsontext import dumps, loads

_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\],:]')


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an object: its decoded key, the start of the key, and the span of its value."""

    key: str
    start: int
    value_start: int
    value_end: int


def members(document: bytes, start: int = 0) -> Iterator[Member]:
    """The members of the object at `start`. White space may precede the object."""
    depth, key, key_start, value_start = 0, "", -1, -1
    for token in _TOKEN.finditer(document, start):
        first = token[0][:1]
        if first in b"{[":
            depth += 1
        elif depth == 1 and first in b",}":
            if value_start >= 0:
                yield Member(key, key_start, value_start, _trimmed(document, value_start, token.start()))
            key_start = value_start = -1
            depth -= first == b"}"
        elif first in b"}]":
            depth -= 1
        elif depth == 1 and first == b":" and value_start < 0:
            value_start = _skip_space(document, token.end())
        elif depth == 1 and key_start < 0:
            key, key_start = str(loads(token[0])), token.start()
        if depth == 0:
            return


def end_of_object(document: bytes) -> int:
    """The place behind the first object. The end of the bytes if it does not end."""
    depth = 0
    for token in _TOKEN.finditer(document):
        first = token[0][:1]
        depth += (first in b"{[") - (first in b"}]")
        if depth == 0 and first == b"}":
            return token.end()
    return len(document)


def elements(array: bytes) -> Iterator[bytes]:
    """The elements of an array. Each keeps its bytes."""
    depth, start = 0, -1
    for token in _TOKEN.finditer(array):
        first = token[0][:1]
        if depth == 1 and first in b",]":
            element = array[start : token.start()].strip()
            if element:
                yield element
            start = token.end()
        if first in b"{[":
            depth += 1
            if depth == 1:
                start = token.end()
        elif first in b"}]":
            depth -= 1


def splice(document: bytes, additions: Mapping[str, bytes], drop: Collection[str] = ()) -> bytes:
    """Remove the members named in `drop`, and add `additions` (name -> JSON) at the end of the object."""
    if drop:
        document = _without(document, drop)
    end = document.rindex(b"}")
    is_empty = document[:end].rstrip().endswith(b"{") and next(members(document), None) is None
    parts = [document[:end]]
    for name, value in additions.items():
        parts += (b"" if is_empty and len(parts) == 1 else b",", _key(name), value)
    parts.append(document[end:])
    return b"".join(parts)


def splice_member(document: bytes, key: str, additions: Mapping[str, bytes], drop: Collection[str] = ()) -> bytes:
    """Do the same as `splice` in the object that is the value of `key`."""
    member = _last(document, key)
    return _replace(document, member, splice(document[member.value_start : member.value_end], additions, drop))


def replace_member(document: bytes, key: str, value: bytes) -> bytes:
    """Replace the value of `key`."""
    return _replace(document, _last(document, key), value)


@lru_cache(maxsize=1_024)  # every document has the same names of bound fields
def _key(name: str) -> bytes:
    return dumps(name) + b":"


def _last(document: bytes, key: str) -> Member:
    """The last member with this name. If there are several, it is the one that a parser keeps."""
    return [member for member in members(document) if member.key == key][-1]


def _replace(document: bytes, member: Member, value: bytes) -> bytes:
    return document[: member.value_start] + value + document[member.value_end :]


def _without(document: bytes, drop: Collection[str]) -> bytes:
    found = list(members(document))
    kept = [document[member.start : member.value_end] for member in found if member.key not in drop]
    return b"{" + b",".join(kept) + b"}" if len(kept) < len(found) else document


def _skip_space(document: bytes, position: int) -> int:
    while document[position : position + 1] in (b" ", b"\t", b"\r", b"\n"):
        position += 1
    return position


def _trimmed(document: bytes, start: int, end: int) -> int:
    return start + len(document[start:end].rstrip())
