"""The cache on disk: an LMDB file of bounded size. Processes may share it, and may be killed at any time."""

from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Final, Self

import lmdb

from sidecar.errors import ConfigurationError
from sidecar.telemetry import logger

_FILE: Final = "vectors.lmdb"
_NEWEST: Final = b"newest"  # the key that says which of the two generations is being filled
_GENERATIONS: Final = (b"0", b"1")
_FULL: Final = 0.4  # of the file. Two full generations leave room for the pages of the one that is dropped
_WRITES_AT_ONCE: Final = 256  # in one transaction, which costs one fsync

_log = logger("embedding.vectorfile")


class VectorFile:
    """Bytes by key. An error of the disk is logged and counts as a miss, because this is a cache.

    There are two generations. When the newer one is full, the older one is dropped, and they change places. Every
    transaction is synced except for LMDB's last page, so a crash of the machine may undo the last transaction only.
    """

    def __init__(self, environment: lmdb.Environment, max_bytes: int) -> None:
        self._environment = environment
        self._generation_bytes = max_bytes * _FULL
        self._stores = {name: environment.open_db(name) for name in _GENERATIONS}
        self._page_bytes = int(environment.stat()["psize"])
        self._reading = Lock()  # the memory map must not be closed under a reader

    @classmethod
    def open(cls, folder: Path, max_bytes: int) -> Self:
        """Open or create the file in this folder. A damaged file is deleted. Raises ConfigurationError."""
        path = folder / _FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            try:
                environment = _open(path, max_bytes)
            except (lmdb.InvalidError, lmdb.CorruptedError, lmdb.VersionMismatchError) as error:
                _log.warning("the cache file is damaged", action="cache_reset", path=str(path), problem=str(error))
                path.unlink()
                environment = _open(path, max_bytes)
            environment.reader_check()  # frees the places of killed processes in the table of readers
            return cls(environment, max_bytes)
        except (OSError, lmdb.Error) as error:
            raise ConfigurationError(f"embedder.cache_dir: {path} cannot be opened: {error}") from error

    def read(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """The values of the keys that are there. Each takes microseconds if the system has the page in memory."""
        found = {}
        try:
            with self._reading, self._environment.begin() as transaction:
                newest = _newest(transaction)
                stores = [self._stores[newest], self._stores[_other(newest)]]
                for key in keys:
                    for store in stores:
                        value = transaction.get(key, db=store)
                        if value is not None:
                            found[key] = value
                            break
        except lmdb.Error as error:
            _log.warning("the cache cannot be read", action="cache_read_failed", problem=str(error))
        return found

    def write(self, values: Mapping[bytes, bytes]) -> None:
        """Add values. A key that is already there keeps its value."""
        rest = iter(values.items())
        try:
            while some := list(islice(rest, _WRITES_AT_ONCE)):
                self._write(some)
        except lmdb.Error as error:
            _log.warning("the cache cannot be written", action="cache_write_failed", problem=str(error))

    def size(self) -> int:
        """Bytes of the file."""
        return int(self._environment.info()["last_pgno"] + 1) * self._page_bytes

    def close(self) -> None:
        """Release the file. Later reads find nothing."""
        with self._reading:
            self._environment.close()

    def _write(self, values: Iterable[tuple[bytes, bytes]]) -> None:
        with self._environment.begin(write=True) as transaction:
            newest = _newest(transaction)
            if self._bytes(transaction, newest) >= self._generation_bytes:
                newest = _other(newest)
                transaction.drop(self._stores[newest], delete=False)
                transaction.put(_NEWEST, newest)
            for key, value in values:
                transaction.put(key, value, overwrite=False, db=self._stores[newest])

    def _bytes(self, transaction: lmdb.Transaction, generation: bytes) -> int:
        stat = transaction.stat(self._stores[generation])
        return int(stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]) * self._page_bytes


def _open(path: Path, max_bytes: int) -> lmdb.Environment:
    return lmdb.open(
        str(path), map_size=max_bytes, subdir=False, max_dbs=len(_GENERATIONS), metasync=False, readahead=False
    )


def _newest(transaction: lmdb.Transaction) -> bytes:
    return bytes(transaction.get(_NEWEST) or _GENERATIONS[0])


def _other(generation: bytes) -> bytes:
    return _GENERATIONS[1 - _GENERATIONS.index(generation)]
