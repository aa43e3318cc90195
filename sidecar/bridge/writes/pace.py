"""Decides how many texts the bridge sends to the embedder in one call. Pure.

A call that is under way when the time is up brings no vector in time. So a call should take only a small share of the
time that is left, however slow the embedder is.
"""

from typing import Final

_SHARE: Final = 1 / 16  # of the time that is left
_MAX_TEXTS: Final = 256  # in one message


class Pace:
    """The speed of the embedder, as the last call has shown it."""

    def __init__(self) -> None:
        self._texts_per_s = 0.0

    def learn(self, texts: int, seconds: float) -> None:
        """Note that a call has computed so many texts. Texts from a cache do not count."""
        if texts:
            self._texts_per_s = texts / max(seconds, 1e-6)

    def texts(self, left_s: float) -> int:
        """How many texts the next call should have. Before the speed is known it is one."""
        return min(max(int(self._texts_per_s * left_s * _SHARE), 1), _MAX_TEXTS)
