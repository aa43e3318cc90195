"""Keeps the bytes of a body: a few in memory, more in a nameless file."""

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Final, Self

from sidecar.errors import ErrorKind, SidecarError

_IN_MEMORY_BYTES: Final = 1024 * 1024  # most bodies are smaller, and a hundred of this size fit in memory
_PIECE_BYTES: Final = 256 * 1024


@dataclass(eq=False)
class SpoolFull(SidecarError):
    """The disk takes no more of a request body."""

    cause: str
    kind = ErrorKind.OVERLOADED

    def __str__(self) -> str:
        return f"the bridge has no room in TMPDIR for the request body: {self.cause}"


class Spool:
    """Bytes that are written once from start to end, and then read at any place. They are deleted with the context."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115 - closed with this
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):  # it tries again to write bytes for which the disk had no room
            self._file.close()

    def write(self, piece: bytes) -> None:
        """Append some bytes. Raises SpoolFull."""
        try:
            self._file.write(piece)
            self._file.flush()  # so that a full disk is noticed here, and not while reading
        except OSError as error:
            raise SpoolFull(error.strerror or str(error)) from error
        self.size += len(piece)

    def read(self, start: int = 0, end: int | None = None) -> bytes:
        """The bytes from `start` to `end`. All bytes by default."""
        self._file.seek(start)
        return self._file.read((self.size if end is None else end) - start)

    def pieces(self) -> Iterator[bytes]:
        """All bytes, in pieces of bounded size."""
        self._file.seek(0)
        while piece := self._file.read(_PIECE_BYTES):
            yield piece

    def lines(self) -> Iterator[bytes]:
        """All bytes, line by line. Each line keeps its end."""
        self._file.seek(0)
        return iter(self._file)

    def payload(self) -> bytes | IO[bytes]:
        """All bytes, in a form that aiohttp sends with their length. Many bytes are a file, which is not read whole."""
        if self.size <= _IN_MEMORY_BYTES:
            return self.read()
        self._file.seek(0)
        return self._file
