"""Vectors that need not be computed again: in memory, bounded by bytes, and in a file that outlives the process.

What is kept is the pooled vector, neither cut nor normalised, so that requests that differ only in dimension, length or
encoding share it; a hit gives exactly the bits that were computed first.
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
_OVERHEAD_BYTES: Final = 400  # of the Python objects around one vector, measured
_MAX_UNWRITTEN: Final = 16_384  # vectors; a disk that is slower than the model misses some, it holds nobody up


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of a text that has been computed."""

    pooled: NDArray[np.float32]
    tokens: int  # special tokens and prompt included
    dropped: int  # tokens cut off at the end


def keys_of(space: str, computed_by: str) -> Callable[[str], bytes]:
    """What gives the key of a text with its prompt, for the space of a model version and what computes it."""
    of_all = sha256(f"{space}\0{computed_by}\0".encode())

    def key(prompted: str) -> bytes:
        of_text = of_all.copy()
        of_text.update(prompted.encode())
        return of_text.digest()

    return key


def pack(entry: Entry) -> bytes:
    """An entry as it is written to disk."""
    body = struct.pack("<II", entry.tokens, entry.dropped) + entry.pooled.astype("<f4").tobytes()
    return struct.pack("<I", zlib.crc32(body)) + body


def unpack(packed: bytes, dimension: int) -> Entry | None:
    """The inverse of `pack`; None if the bytes are not what was written, or of another dimension."""
    if len(packed) != _HEADER.size + 4 * dimension:
        return None
    checksum, tokens, dropped = _HEADER.unpack_from(packed)
    if zlib.crc32(memoryview(packed)[4:]) != checksum:
        return None
    return Entry(np.frombuffer(packed, "<f4", offset=_HEADER.size), tokens, dropped)


class VectorCache:
    """Both stores behind one door. Everything but `read_file` is called on the event loop."""

    def __init__(self, memory_bytes: int, file: VectorFile | None = None) -> None:
        self._memory: LRUCache[bytes, Entry] = LRUCache(memory_bytes, getsizeof=_size)
        self._file = file
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="cache")
        self._unwritten: dict[bytes, Entry] = {}
        self._exchange = Lock()  # over `_unwritten`, between the loop that fills and the thread that empties it

    def get(self, key: bytes) -> Entry | None:
        """What is in memory, in microseconds."""
        try:
            return self._memory[key]  # its `get` looks twice
        except KeyError:
            return None

    def read_file(self, keys: Sequence[bytes], dimension: int) -> dict[bytes, Entry]:
        """What is on disk, blocking. A damaged entry is not there."""
        if self._file is None:
            return {}
        read = ((key, unpack(packed, dimension)) for key, packed in self._file.read(keys).items())
        return {key: entry for key, entry in read if entry is not None}

    def remember(self, key: bytes, entry: Entry) -> None:
        """Take into memory what has been read from disk."""
        if _size(entry) <= self._memory.maxsize:
            self._memory[key] = entry
            series(EMBEDDER_CACHE_BYTES, "memory").set(self._memory.currsize)

    def keep(self, key: bytes, entry: Entry) -> Entry:
        """Keep what has been computed; what is kept already stays as it is, and is given back."""
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
        """Write what is not written yet, and close the file."""
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
