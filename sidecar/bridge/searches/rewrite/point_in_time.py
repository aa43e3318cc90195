"""Which shards a point in time holds: its id says so, in OpenSearch's wire format under base64.

Pure. As `SearchContextId` writes it: the version, then a map from each shard to where it is searched, then the filters
of aliases. An id that reads differently is the cluster's to understand or to refuse.
"""

import base64
import binascii
from collections.abc import Iterable
from typing import Final

from sidecar.bridge.bindings.indices import BoundIndex
from sidecar.jsontext import Json, at

_CONTEXT_BYTES: Final = 8  # a long
_MAX_VINT_BYTES: Final = 5


def shards_of_point(pit: Json) -> frozenset[tuple[str, int]] | None:
    """Index and number of every shard that `{"id": …}` holds; None if it cannot be read or names another cluster."""
    identifier = at(pit, "id")
    if not isinstance(identifier, str) or not identifier:
        return None
    try:
        stream = _Stream(base64.b64decode(identifier, altchars=b"-_", validate=True))
        stream.number()  # the version
        return frozenset(_shard(stream) for _ in range(stream.number()))
    except (_Unreadable, binascii.Error, ValueError):
        return None


def holds_all(pit: Json, indices: Iterable[BoundIndex]) -> bool:
    """Whether a point in time holds all shards of these indices (one made with `routing` does not)."""
    every = frozenset((index.name, number) for index in indices for number in range(index.shards))
    return shards_of_point(pit) == every


def expression_of_point(body: Json) -> str | None:
    """The indices that a search of a point in time goes to, which the request itself must not name."""
    shards = shards_of_point(at(body, "pit"))
    return None if not shards else ",".join(sorted({index for index, _ in shards}))


class _Unreadable(Exception):
    """The id is not what this module reads."""


class _Stream:
    """OpenSearch's `StreamInput`, as far as it takes to read the shards."""

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
        """A VInt: seven bits in each byte, the lowest first."""
        value = 0
        for place in range(_MAX_VINT_BYTES):
            (byte,) = self.skip(1)
            value |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                return value
        raise _Unreadable

    def text(self) -> str:
        """So many UTF-16 units, each in one to three bytes."""
        return "".join(self._unit() for _ in range(self.number()))

    def _unit(self) -> str:
        (first,) = self.skip(1)
        count = 0 if first < 0x80 else 1 if first >> 5 == 0b110 else 2 if first >> 4 == 0b1110 else -1
        if count < 0:
            raise _Unreadable
        return (bytes((first,)) + self.skip(count)).decode("utf-8")


def _shard(stream: _Stream) -> tuple[str, int]:
    """A shard, and behind it the node, the cluster and the search context, which are nothing to us."""
    index, _, number = stream.text(), stream.text(), stream.number()
    stream.text()
    if stream.flag():
        raise _Unreadable  # of another cluster: we know no bindings there
    stream.skip(_CONTEXT_BYTES)
    stream.text()
    return index, number
