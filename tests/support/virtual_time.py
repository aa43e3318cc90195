"""An event loop whose clock moves only when everything waits. A test of it depends on no load and takes no time."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class VirtualTime(asyncio.SelectorEventLoop):
    """Sleeps are over at once, in their order. For work without threads and without sockets."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._look = self._selector.select  # type: ignore[attr-defined]
        self._selector.select = self._skip  # type: ignore[attr-defined]

    def time(self) -> float:
        return self._now

    def _skip(self, timeout: float | None = None) -> Any:
        self._now += timeout or 0.0
        return self._look(None if timeout is None else 0)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        return runner.run(work)
