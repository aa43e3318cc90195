"""Reads the shards of a point in time from its id. The id is in OpenSearch's wire format, as base64.

Pure. `SearchContextId` writes the version, then a map from each shard to the place of its search, then the filters of
aliases. If an id reads differently, the bridge leaves it to the cluster.
"""

import base64
import binascii
from collections.abc import Iterable
from typing import Final

from sidecar.bridge.bindings.indices import BoundIndex
from sidecar.jsontext import Json, at

_CONTEXT_BYTES: Final = 8  # a long
_MAX_VINT_BYTES: Final = 5
_MAX_CHARACTERS: Final = 262_144  # some thousand shards, which take a hundredth of a second to read


def shards_of_point(pit: Json) -> frozenset[tuple[str, int]] | None:
    """The index and number of every shard of `{"id": …}`. None if it cannot be read, or names another cluster."""
    identifier = at(pit, "id")
    if not isinstance(identifier, str) or not 0 < len(identifier) <= _MAX_CHARACTERS:
        return None
    try:
        stream = _Stream(base64.b64decode(identifier, altchars=b"-_", validate=True))
        stream.number()  # the version
        return frozenset(_shard(stream) for _ in range(stream.number()))
    except (_Unreadable, binascii.Error, ValueError):
        return None


def holds_all(pit: Json, indices: Iterable[BoundIndex]) -> bool:
    """Whether a point in time holds all shards of these indices. One that was made with `routing` does not."""
    every = frozenset((index.name, number) for index in indices for number in range(index.shards))
    return shards_of_point(pit) == every


def expression_of_point(body: Json) -> str | None:
    """The indices of the point in time in a search. None if there are none. Such a request itself must not name any."""
    shards = shards_of_point(at(body, "pit"))
    return None if not shards else ",".join(sorted({index for index, _ in shards}))


class _Unreadable(Exception):
    """The id has a form that this module cannot read."""


class _Stream:
    """The part of OpenSearch's `StreamInput` that is needed to read the shards."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def skip(self, count: int) -> bytes:
        taken = self._data[self._position : self._position + count]
        if len(taken) < count:
            raise _Unreadable
        self._position += count
        return taken

    def flag(self) -> bool:
        value = self.skip(1)[0]
        if value > 1:
            raise _Unreadable
        return value == 1

    def number(self) -> int:
        """Read a VInt. Each byte has seven bits of it, the lowest first."""
        value = 0
        for place in range(_MAX_VINT_BYTES):
            (byte,) = self.skip(1)
            value |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                return value
        raise _Unreadable

    def text(self) -> str:
        """Read a text. The number of its UTF-16 units precedes them, and each unit has one to three bytes."""
        count = self.number()
        plain = self._data[self._position : self._position + count]
        if plain.isascii():  # the names of indices mostly are
            return self.skip(count).decode("ascii")
        return "".join(self._unit() for _ in range(count))

    def _unit(self) -> str:
        (first,) = self.skip(1)
        count = 0 if first < 0x80 else 1 if first >> 5 == 0b110 else 2 if first >> 4 == 0b1110 else -1
        if count < 0:
            raise _Unreadable
        return (bytes((first,)) + self.skip(count)).decode("utf-8")


def _shard(stream: _Stream) -> tuple[str, int]:
    """Read a shard. The node, the cluster and the search context follow it, and are skipped.

    Raises _Unreadable for a shard of another cluster.
    """
    index, _, number = stream.text(), stream.text(), stream.number()
    stream.text()
    if stream.flag():
        raise _Unreadable  # we know no bindings of another cluster
    stream.skip(_CONTEXT_BYTES)
    stream.text()
    return index, number
