"""The cache of vectors: in memory, bounded by bytes, and in a file that outlives the process.

It holds pooled vectors, neither cut nor normalised, so that requests share them even if they differ in dimension,
length or encoding. A hit gives exactly the bits that were computed first.
"""

import struct
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from threading import Lock
from typing import Final

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from sidecar.embedding.cache.file import VectorFile
from sidecar.telemetry import EMBEDDER_CACHE_BYTES, series

_HEADER: Final = struct.Struct("<III")  # CRC-32 of what follows, tokens, tokens dropped
_OVERHEAD_BYTES: Final = 400  # of the Python objects around one vector, as measured
_MAX_UNWRITTEN: Final = 16_384  # vectors. If the disk is slower than the model, some are lost, but nobody waits


@dataclass(frozen=True, slots=True)
class Entry:
    """The vector of a text that has been computed."""

    pooled: NDArray[np.float32]
    tokens: int  # special tokens and prompt included
    dropped: int  # tokens cut off at the end


def keys_of(space: str, computed_by: str) -> Callable[[str], bytes]:
    """A function from a text with its prompt to its key, for the space of a model version and its back end."""
    of_all = sha256(f"{space}\0{computed_by}\0".encode())

    def key(prompted: str) -> bytes:
        of_text = of_all.copy()
        of_text.update(prompted.encode())
        return of_text.digest()

    return key


def pack(entry: Entry) -> bytes:
    """The bytes of an entry on disk."""
    body = struct.pack("<II", entry.tokens, entry.dropped) + entry.pooled.astype("<f4").tobytes()
    return struct.pack("<I", zlib.crc32(body)) + body


def unpack(packed: bytes, dimension: int) -> Entry | None:
    """The inverse of `pack`. None if the bytes are damaged or of another dimension."""
    if len(packed) != _HEADER.size + 4 * dimension:
        return None
    checksum, tokens, dropped = _HEADER.unpack_from(packed)
    if zlib.crc32(memoryview(packed)[4:]) != checksum:
        return None
    return Entry(np.frombuffer(packed, "<f4", offset=_HEADER.size), tokens, dropped)


class VectorCache:
    """The cache in memory and on disk. Everything but `read_file` is called on the event loop."""

    def __init__(self, memory_bytes: int, file: VectorFile | None = None) -> None:
        self._memory: LRUCache[bytes, Entry] = LRUCache(memory_bytes, getsizeof=_size)
        self._file = file
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="cache")
        self._unwritten: dict[bytes, Entry] = {}
        self._exchange = Lock()  # for `_unwritten`, which the event loop fills and a thread empties

    def get(self, key: bytes) -> Entry | None:
        """The entry in memory, if there is one. Takes microseconds."""
        try:
            return self._memory[key]  # its `get` looks twice
        except KeyError:
            return None

    def read_file(self, keys: Sequence[bytes], dimension: int) -> dict[bytes, Entry]:
        """The entries on disk, without damaged ones. Blocks."""
        if self._file is None:
            return {}
        read = ((key, unpack(packed, dimension)) for key, packed in self._file.read(keys).items())
        return {key: entry for key, entry in read if entry is not None}

    def remember(self, key: bytes, entry: Entry) -> None:
        """Keep an entry in memory that was read from disk."""
        if _size(entry) <= self._memory.maxsize:
            self._memory[key] = entry
            series(EMBEDDER_CACHE_BYTES, "memory").set(self._memory.currsize)

    def keep(self, key: bytes, entry: Entry) -> Entry:
        """Keep a computed entry. If the key is already there, its entry stays and is the value."""
        known = self.get(key)
        if known is not None:
            return known
        self.remember(key, entry)
        if self._file is not None:
            with self._exchange:
                writer_is_called = bool(self._unwritten)
                if len(self._unwritten) < _MAX_UNWRITTEN:
                    self._unwritten[key] = entry
            if not writer_is_called:
                self._writer.submit(self._write, self._file)
        return entry

    def close(self) -> None:
        """Write the entries that are not on disk yet, and close the file."""
        self._writer.shutdown(wait=True)
        if self._file is not None:
            self._file.close()

    def _write(self, file: VectorFile) -> None:
        with self._exchange:
            unwritten, self._unwritten = self._unwritten, {}
        file.write({key: pack(entry) for key, entry in unwritten.items()})
        series(EMBEDDER_CACHE_BYTES, "disk").set(file.size())


def _size(entry: Entry) -> int:
    return entry.pooled.nbytes + _OVERHEAD_BYTES
