"""Decides when a replica is used, when it is probed, and when it has stopped answering. Pure.

The caller passes the time to each method. We wrote this ourselves because the libraries that exist (pybreaker,
aiobreaker, purgatory) know neither probes beside a call nor a clock that is passed in: they find out whether a service
is back by risking a caller's own call after a pause.
"""

from enum import Enum, auto
from typing import Final

PROBE_TIMEOUT_S: Final = 1.0  # a server answers within milliseconds, also while it computes
_PATIENCE_S: Final = 1.0  # how long a call may wait before somebody looks
_PROBE_EVERY_S: Final = 0.5  # while open
_SILENT_PROBES: Final = 2  # one may be lost to a busy moment of either machine


class Health(Enum):
    """What a probe found."""

    SERVING = auto()
    REFUSES = auto()  # nobody listens, or the server says that it does not serve
    SILENT = auto()  # no answer in time


class Breaker:
    """Whether one replica may be given calls. Closed at first: nothing bad is known of it."""

    def __init__(self) -> None:
        self.is_open = False
        self._doubted = False
        self._silent_probes = 0
        self._heard_at = float("-inf")  # or last looked after, while nothing was heard

    @property
    def hangs(self) -> bool:
        """Whether what waits there should not wait any longer."""
        return self._silent_probes >= _SILENT_PROBES

    def answered(self, now: float) -> None:
        """A call was answered, whatever the answer."""
        self._heard_at = now
        self._silent_probes = 0

    def unanswered(self, since: float) -> None:
        """A call that began at `since` was given up; if nothing else was heard since then, somebody should look."""
        if self._heard_at < since:
            self._doubted = True

    def refused(self) -> None:
        """The server itself has said that it cannot: a probe will tell whether that holds for every call."""
        self._doubted = True

    def lost(self, now: float) -> None:
        """The connection broke, or there is none."""
        self.is_open = True
        self._heard_at = now

    def probed(self, found: Health, now: float) -> None:
        """A probe has ended."""
        self._doubted = False
        self._heard_at = now
        self._silent_probes = self._silent_probes + 1 if found is Health.SILENT else 0
        if found is Health.SERVING:
            self.is_open = False
        elif found is Health.REFUSES or self.hangs:
            self.is_open = True

    def next_probe(self, waits_since: float | None) -> float | None:
        """When to probe, if the oldest call waits since then; None: not at all, as long as nothing happens."""
        if self.is_open:
            return self._heard_at + _PROBE_EVERY_S
        if self._doubted or self._silent_probes:
            return self._heard_at
        return None if waits_since is None else max(waits_since, self._heard_at) + _PATIENCE_S
