"""Runs work in a thread if it would hold up the event loop."""

import asyncio
import contextvars
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

# Heavier work runs in a thread. A byte weighs 1. Documents and answers weigh more, because they are parsed.
_OFF_THE_LOOP: Final = 256 * 1024
WEIGHT_OF_DOCUMENT: Final = 2 * 1024
WEIGHT_OF_ANSWER: Final = 16  # of each byte
WEIGHT_OF_JSON: Final = 4  # of each byte that is parsed or written, so that 64 KiB are the most on the loop

# A thread with heavy work takes the interpreter from the event loop for 5 ms at a time. More threads would take more
# turns, and only one of them can run Python at a time.
_THREADS: Final = 2
_pool: Final = ThreadPoolExecutor(_THREADS, thread_name_prefix="off-the-loop")

P = ParamSpec("P")
T = TypeVar("T")


async def off_the_loop(weight: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a pure function here if it is quick, otherwise in a thread, so that other requests go on."""
    if weight <= _OFF_THE_LOOP:
        return function(*args, **kwargs)
    context = contextvars.copy_context()
    work = functools.partial(context.run, function, *args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(_pool, work)
