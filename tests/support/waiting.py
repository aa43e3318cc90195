"""How tests wait: for an event where there is one, else by looking again; never by the speed of the machine."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

PATIENCE_S: Final = 60.0  # then something hangs, also on a machine that is busy with other things


async def until(holds: Callable[[], bool | Awaitable[bool]], *, every_s: float = 0.01) -> None:
    """Look again and again at what tells nobody that it changes, such as another process."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            held = holds()
            if held if isinstance(held, bool) else await held:
                return
            await asyncio.sleep(every_s)


def run_to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, but the loop also sees the end of every connection.

    A client's `close` asks a TLS connection to say goodbye and a server's lets go of a transport; both need the loop
    some more turns. A loop that ends before leaves a transport that warns of itself when it is collected, in whichever
    test happens to run then.
    """

    async def run() -> T:
        try:
            return await work
        finally:
            transports = asyncio.get_running_loop()._transports  # type: ignore[attr-defined]
            await until(lambda: all(one._sock is None for one in list(transports.values())))

    return asyncio.run(run())
