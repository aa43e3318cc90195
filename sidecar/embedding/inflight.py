"""How many bytes of requests are in work together, whichever protocol they came by. Pure."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sidecar.errors import EmbedderOverloaded

_RETRY_AFTER_S: Final = 1.0


class Inflight:
    """A bound for all requests together. One that is alone is always let in: its own size is bounded elsewhere."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0

    @contextmanager
    def hold(self, size: int) -> Iterator["Held"]:
        """Count a request while it is in work. Raises EmbedderOverloaded."""
        held = Held(self)
        try:
            held.grow_to(size)
            yield held
        finally:
            self._bytes -= held.bytes

    def take(self, more: int, already: int) -> None:
        """Count bytes of a request that holds some already. Raises EmbedderOverloaded."""
        if self._bytes > already and self._bytes + more > self._max_bytes:
            raise EmbedderOverloaded(_RETRY_AFTER_S)
        self._bytes += more


class Held:
    """What one request holds."""

    def __init__(self, inflight: Inflight) -> None:
        self._inflight = inflight
        self.bytes = 0

    def grow_to(self, size: int) -> None:
        """Hold at least so many bytes: of a body that comes in pieces the length is not known before its end.

        Raises EmbedderOverloaded.
        """
        more = max(size - self.bytes, 0)
        self._inflight.take(more, self.bytes)
        self.bytes += more
