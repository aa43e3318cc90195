"""Bytes that are kept in memory while they are few, and in a nameless file after that."""

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Final, Self

from sidecar.errors import ErrorKind, SidecarError

_IN_MEMORY_BYTES: Final = 1024 * 1024  # most bodies are smaller; a hundred of this size are no burden either
_PIECE_BYTES: Final = 256 * 1024


@dataclass(eq=False)
class SpoolFull(SidecarError):
    """The disk takes no more of a request body."""

    cause: str
    kind = ErrorKind.OVERLOADED

    def __str__(self) -> str:
        return f"the bridge has no room in TMPDIR for the request body: {self.cause}"


class Spool:
    """Written once from start to end, then read anywhere. A context manager: at its end the bytes are gone."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115 - closed with this
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):  # what found no room is tried once more then, and is not wanted any more
            self._file.close()

    def write(self, piece: bytes) -> None:
        """Append. Raises SpoolFull."""
        try:
            self._file.write(piece)
            self._file.flush()  # so that a full disk is noticed here, and not when something is read
        except OSError as error:
            raise SpoolFull(error.strerror or str(error)) from error
        self.size += len(piece)

    def read(self, start: int = 0, end: int | None = None) -> bytes:
        """The bytes from `start` to `end`, by default all."""
        self._file.seek(start)
        return self._file.read((self.size if end is None else end) - start)

    def pieces(self) -> Iterator[bytes]:
        """All bytes, some at a time."""
        self._file.seek(0)
        while piece := self._file.read(_PIECE_BYTES):
            yield piece

    def lines(self) -> Iterator[bytes]:
        """All bytes, line by line, each with its end."""
        self._file.seek(0)
        return iter(self._file)

    def payload(self) -> bytes | IO[bytes]:
        """All bytes as aiohttp sends them with their length: if they are many, without reading them whole."""
        if self.size <= _IN_MEMORY_BYTES:
            return self.read()
        self._file.seek(0)
        return self._file
