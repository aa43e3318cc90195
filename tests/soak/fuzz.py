"""Sends drawn requests, always the same for a seed, and watches the bridge between them."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.soak.exchanges import Fuzzed, fuzzing
from tests.soak.sent import Sent
from tests.soak.sent_reads import reads
from tests.soak.sent_writes import writes
from tests.support.waiting import PATIENCE_S

_WARM_UP: Final = 40  # requests, before files and memory are counted
# What may come and go between two counts. A connection to the cluster that is kept is a file.
_MORE_FILES: Final = 4
_MORE_MIB: Final = 16.0


async def wrong_answers(node_url: str, name: str, log: Path, *, count: int, first_seed: int) -> list[str]:
    """Send so many requests, half of them writes. Gives what was wrong: the smallest request that shows a fault first."""
    wrong: list[str] = []
    async with fuzzing(node_url, name, log) as at:
        await _send(at, _WARM_UP, first_seed, wrong)
        files, memory = at.process.files, at.process.resident_mib
        await _send(at, count - _WARM_UP, first_seed + 1, wrong)
        if not wrong:  # a fault leaves the sides with other documents
            wrong += await at.wrong_number()
        if at.process.files > files + _MORE_FILES:
            wrong.append(f"the bridge holds {at.process.files} files, and held {files} before")
        if at.process.resident_mib > memory + _MORE_MIB:
            wrong.append(f"the bridge holds {at.process.resident_mib:.0f} MiB, and held {memory:.0f} MiB before")
        wrong += at.process.errors
        missing = {200, 201, 400, 404, 405} - at.statuses.keys()
        if missing:
            wrong.append(f"no request was answered with {sorted(missing)}")
    return wrong


async def _send(at: Fuzzed, count: int, number: int, wrong: list[str]) -> None:
    loop = asyncio.get_running_loop()
    for drawn, send in ((writes, at.write), (reads, at.read)):
        try:
            await asyncio.to_thread(_play, drawn, send, loop, count // 2, number)
        except AssertionError as error:
            wrong.append(f"seed {number}: {error}")


def _play(
    drawn: st.SearchStrategy[Sent],
    send: Callable[[Sent], Awaitable[None]],
    loop: asyncio.AbstractEventLoop,
    count: int,
    number: int,
) -> None:
    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(sent=drawn)
    def play(sent: Sent) -> None:
        asyncio.run_coroutine_threadsafe(send(sent), loop).result(4 * PATIENCE_S)

    play()
