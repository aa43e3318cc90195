"""Decides when a replica is used, when it is probed, and when it has stopped answering. Pure.

The caller passes the time to each method. We wrote this ourselves because the libraries that exist (pybreaker,
aiobreaker, purgatory) know neither probes beside a call nor a clock that is passed in: they find out whether a service
is back by risking a caller's own call after a pause.
"""

from enum import Enum, auto
from typing import Final

PROBE_TIMEOUT_S: Final = 1.0  # a server answers within milliseconds, even while it computes
_PATIENCE_S: Final = 1.0  # how long a call may wait before a probe
_PROBE_EVERY_S: Final = 0.5  # while open
_SILENT_PROBES: Final = 2  # one probe may be lost in a busy moment of either machine


class Health(Enum):
    """The result of a probe."""

    SERVING = auto()
    REFUSES = auto()  # no server listens, or it says that it does not serve
    SILENT = auto()  # no answer in time


class Breaker:
    """Whether one replica may get calls. It is closed at first, because nothing bad is known of the replica."""

    def __init__(self) -> None:
        self.is_open = False
        self._doubted = False
        self._silent_probes = 0
        self._heard_at = float("-inf")  # of the last answer, loss or probe

    @property
    def hangs(self) -> bool:
        """Whether the calls that wait there should stop waiting."""
        return self._silent_probes >= _SILENT_PROBES

    def answered(self, now: float) -> None:
        """A call was answered, even with an error."""
        self._heard_at = now
        self._silent_probes = 0

    def unanswered(self, since: float) -> None:
        """A call that began at `since` was cancelled. If there was no other answer since then, a probe is due."""
        if self._heard_at < since:
            self._doubted = True

    def refused(self) -> None:
        """The server itself refused a call. A probe will tell whether it refuses every call."""
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
        """When to probe, if the oldest call has waited since then. None if no probe is due until something happens."""
        if self.is_open:
            return self._heard_at + _PROBE_EVERY_S
        if self._doubted or self._silent_probes:
            return self._heard_at
        return None if waits_since is None else max(waits_since, self._heard_at) + _PATIENCE_S
