"""Counts the bytes that all requests in work hold, and refuses a request that would hold too many. Pure."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Final

from sidecar.errors import ErrorKind, SidecarError

PARSED_TIMES: Final = 8  # bytes that are parsed whole take this many times their number


@dataclass(eq=False)
class BridgeOverloaded(SidecarError):
    """The bodies in work together leave no room for another."""

    limit: int
    kind = ErrorKind.OVERLOADED

    def __str__(self) -> str:
        return f"the bodies of all requests in work exceed the limit of [{self.limit}] bytes"


class Budget:
    """The bytes that all requests in work may hold together. Threads may count, too."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        self.lock = Lock()

    @contextmanager
    def share(self) -> Iterator["Share"]:
        """The share of one request. It is given back when the context ends."""
        share = Share(self)
        try:
            yield share
        finally:
            share.hold(0)


class Share:
    """The bytes that one request holds."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._held = 0
        self.answers = 0  # bytes of answers of the cluster that have been read for the request

    def hold(self, count: int) -> None:
        """Hold so many bytes from now on. A request alone may hold any number. Raises BridgeOverloaded."""
        with self._budget.lock:
            others = self._budget.held - self._held
            if others and count > self._held and others + count > self._budget.limit:
                raise BridgeOverloaded(self._budget.limit)
            self._budget.held = others + count
            self._held = count

    def hold_more(self, count: int) -> None:
        """Hold so many bytes more. Raises BridgeOverloaded."""
        self.hold(self._held + count)
