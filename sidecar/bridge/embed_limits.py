"""Bounds the texts that are embedded at the same time for clients of `/_plugins/_sidecar/embed`. Pure.

Writes share the lane of these texts. So one client may take an eighth of it, and all clients together a half.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from sidecar.errors import ErrorKind, SidecarError


@dataclass(frozen=True, slots=True)
class Load:
    """Texts, and the tokens that they have at most."""

    texts: int = 0
    tokens: int = 0

    def __add__(self, other: "Load") -> "Load":
        return Load(self.texts + other.texts, self.tokens + other.tokens)

    def __sub__(self, other: "Load") -> "Load":
        return Load(self.texts - other.texts, self.tokens - other.tokens)

    def fits(self, limit: "Load") -> bool:
        return self.texts <= limit.texts and self.tokens <= limit.tokens


PER_CLIENT: Final = Load(1_024, 131_072)
IN_ALL: Final = Load(4_096, 524_288)  # half of `embedder.max_queue_tokens`
_NOTHING: Final = Load()


@dataclass(eq=False)
class TooManyTexts(SidecarError):
    """Too many texts are being embedded for this client, or for all clients of `/_plugins/_sidecar/embed` together."""

    whose: str
    limit: Load
    kind = ErrorKind.OVERLOADED

    def __str__(self) -> str:
        limits = f"[{self.limit.texts}] texts and [{self.limit.tokens}] tokens"
        return f"{limits} at most are embedded at the same time for {self.whose}"


class EmbedLimits:
    """The texts in work, by client. A client with nothing in work takes no memory."""

    def __init__(self) -> None:
        self._by_client: dict[str, Load] = {}
        self._all = _NOTHING

    @contextmanager
    def taken(self, client: str, load: Load) -> Iterator[None]:
        """Count a load as long as it is in work. Alone it is never too large. Raises TooManyTexts."""
        mine = self._by_client.get(client, _NOTHING)
        for whose, before, limit in (("one client", mine, PER_CLIENT), ("all clients", self._all, IN_ALL)):
            if before != _NOTHING and not (before + load).fits(limit):
                raise TooManyTexts(whose, limit)
        self._by_client[client] = mine + load
        self._all += load
        try:
            yield
        finally:
            self._all -= load
            left = self._by_client.pop(client) - load
            if left != _NOTHING:
                self._by_client[client] = left
