"""Values from files that may change while we run, so that tokens and certificates are rotated without a restart."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeAlias, TypeVar

from sidecar.errors import ConfigurationError
from sidecar.files import unmarked
from sidecar.telemetry import logger

T = TypeVar("T")

_Stamp: TypeAlias = tuple[tuple[int, int, int] | None, ...]  # None for a file that is not there

_log = logger("watched")


class Watched(Generic[T]):
    """A value that is read again when one of its files has changed. Any thread may ask for it.

    If the files cannot be read, or not yet (a certificate without its new key), the last value stays in force.
    """

    def __init__(self, files: Sequence[Path], read: Callable[[], T]) -> None:
        """Read for the first time. Raises ConfigurationError, as `read` and for a file that is not there."""
        self._files = tuple(files)
        self._read = read
        self._lock = threading.Lock()
        self._seen = self._stamp()
        self._value = read()

    def current(self) -> T:
        """The value in the files now. Costs one stat for each of them."""
        with self._lock:
            stamp = self._stamp()
            if stamp != self._seen:
                self._read_again(stamp)
            return self._value

    def _read_again(self, stamp: _Stamp) -> None:
        names = [str(file) for file in self._files]
        try:
            value = self._read()
        except ConfigurationError as error:
            _log.warning("the last value stays in force", action="files_not_reread", files=names, error=str(error))
            value = self._value
        if stamp == self._stamp():  # otherwise a file was written in the meantime, and the next call reads again
            if value is not self._value:
                _log.info("files were read again", action="files_reread", files=names)
            self._value, self._seen = value, stamp

    def _stamp(self) -> _Stamp:
        return tuple(_stamp(file) for file in self._files)


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def read_bytes(file: Path) -> bytes:
    """The content of a text file. Raises ConfigurationError."""
    try:
        return unmarked(file.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}") from error
