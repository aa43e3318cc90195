"""The bookkeeping of one call, by gRPC or by HTTP: its id, and the bytes that it holds while it is in work.

The id stands in the reply and in the line of the log that says why a call was refused.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from secrets import token_hex
from typing import Final

from sidecar.errors import EmbedderOverloaded

ID_HEADER: Final = "x-request-id"  # of HTTP, and as metadata of gRPC: proxies such as Envoy send it for both

_MOST_CHARACTERS: Final = 128  # of an id in the log, in a header or in gRPC's trailers: their size is limited
_SENDABLE: Final = re.compile(f"[!-~]{{1,{_MOST_CHARACTERS}}}")  # in a header: printable ASCII without spaces
_RETRY_AFTER_S: Final = 1.0


def id_of(headers: Iterable[tuple[str, str | bytes]]) -> str:
    """The id that the caller or a proxy gave the call. Without a usable one, a new id."""
    given = next((value for name, value in headers if name.lower() == ID_HEADER), "")
    return given if isinstance(given, str) and _SENDABLE.fullmatch(given) else token_hex(16)


def shortened(request_id: str) -> str:
    """The beginning of an id, for places where room is limited."""
    return request_id[:_MOST_CHARACTERS]


class Inflight:
    """A bound on the bytes of all requests in work. A request that is alone is let in, whatever its size."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self.bytes = 0  # of all requests in work

    @contextmanager
    def hold(self, size: int) -> Iterator["Held"]:
        """Count a request while it is in work. Raises EmbedderOverloaded."""
        held = Held(self)
        try:
            held.grow_to(size)
            yield held
        finally:
            self.bytes -= held.bytes

    def take(self, more: int, already: int) -> None:
        """Count more bytes of a request that holds `already`. Raises EmbedderOverloaded."""
        if self.bytes > already and self.bytes + more > self._max_bytes:
            raise EmbedderOverloaded(_RETRY_AFTER_S)
        self.bytes += more


class Held:
    """The bytes that one request holds."""

    def __init__(self, inflight: Inflight) -> None:
        self._inflight = inflight
        self.bytes = 0

    def grow_to(self, size: int) -> None:
        """Hold at least `size` bytes. A body that arrives in pieces has no known length before its end.

        Raises EmbedderOverloaded.
        """
        more = max(size - self.bytes, 0)
        self._inflight.take(more, self.bytes)
        self.bytes += more
