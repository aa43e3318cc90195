"""Counts the open connections of a listener, in all and for each peer. Pure."""

from collections import Counter
from collections.abc import Callable
from typing import Final

SURPLUS: Final = 64  # connections beyond a limit that still get an answer, which says so


class Places:
    """The places for connections. A proxy speaks for many clients, so it has no limit of its own."""

    def __init__(self, most: int, per_peer: int, is_proxy: Callable[[str], bool]) -> None:
        self._most = most
        self._per_peer = per_peer
        self._is_proxy = is_proxy
        self._taken: Counter[str] = Counter()

    def refusal(self, peer: str) -> tuple[int, str] | None:
        """The status and the reason for a connection that is one too many."""
        if self._taken.total() >= self._most:
            return 503, f"more than [{self._most}] connections are open"
        if self._of(peer) >= self._per_peer:
            return 429, f"more than [{self._per_peer}] connections of one client are open"
        return None

    def are_worn_out(self, peer: str) -> bool:
        """Whether so many connections too many are open that the next is not worth an answer."""
        return self._taken.total() >= self._most + SURPLUS or self._of(peer) >= self._per_peer + SURPLUS

    def take(self, peer: str) -> Callable[[], None]:
        """Count a connection. The value gives the place back, and may be called twice."""
        self._taken[peer] += 1
        held = [peer]

        def give_back() -> None:
            while held:
                self._taken.subtract([held.pop()])
                if not self._taken[peer]:
                    del self._taken[peer]

        return give_back

    def _of(self, peer: str) -> int:
        return 0 if self._is_proxy(peer) else self._taken[peer]
