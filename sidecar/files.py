"""Files: the SHA-256 of one, a lock that processes share, and texts with the mark of Windows' editors."""

import codecs
import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def file_digest(path: Path) -> str:
    """The SHA-256 (hex) of a file, which is read piece by piece. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unmarked(content: bytes) -> bytes:
    """The content of a text file without the byte order mark that editors on Windows put before it."""
    return content.removeprefix(codecs.BOM_UTF8)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock between processes. The system frees it when its holder dies. Raises OSError."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
