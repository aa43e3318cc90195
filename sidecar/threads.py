"""Runs work in a thread if it would hold up the event loop."""

import asyncio
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

# Heavier work runs in a thread. A byte weighs 1. Documents and answers weigh more, because they are parsed.
_OFF_THE_LOOP: Final = 256 * 1024
WEIGHT_OF_DOCUMENT: Final = 2 * 1024
WEIGHT_OF_ANSWER: Final = 16  # of each byte

P = ParamSpec("P")
T = TypeVar("T")


async def off_the_loop(weight: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a pure function here if it is quick, otherwise in a thread, so that other requests go on."""
    if weight <= _OFF_THE_LOOP:
        return function(*args, **kwargs)
    return await asyncio.to_thread(function, *args, **kwargs)
