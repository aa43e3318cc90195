"""The longest step of a request's handler on the event loop."""

import asyncio
import gc
import time
from asyncio import events
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest


@dataclass
class Steps:
    """The longest step of a request's handler, in processor time: a busy machine must not matter."""

    longest_s: float = 0.0
    count: int = 0


@contextmanager
def steps_of_handlers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Steps]:
    steps, run = Steps(), events.Handle._run

    def watched(handle: events.Handle) -> None:
        task = getattr(handle._callback, "__self__", None)  # type: ignore[attr-defined]
        started = time.thread_time()
        run(handle)
        if isinstance(task, asyncio.Task) and f"{task.get_coro()}".startswith("<coroutine object RequestHandler."):
            steps.count += 1
            steps.longest_s = max(steps.longest_s, time.thread_time() - started)

    gc.freeze()  # as in a server: a step must not pay for the objects of other tests
    try:
        with monkeypatch.context() as patched:
            patched.setattr(events.Handle, "_run", watched)
            yield steps
    finally:
        gc.unfreeze()
