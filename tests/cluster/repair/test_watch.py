"""Watching repairs what comes later."""

import asyncio

from sidecar.repair.report import Report
from sidecar.repair.watch import watch
from tests.cluster.repair.test_passes import (
    Notes,
    found,
    notes,  # noqa: F401 - fixtures
    outcomes,
)


async def test_watching_repairs_what_comes_later(notes: Notes) -> None:
    await notes.put(first={"title": "a"})
    passes: asyncio.Queue[Report] = asyncio.Queue()
    scan = notes.scan()
    watching = watch(scan, notes.repair(scan), (notes.index,), pause_s=0.1, audit_every_s=3_600, say=passes.put_nowait)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(watching, name="watch")
        first = await passes.get()
        await notes.put(second={"title": "b"})
        await notes.call("POST", f"/{notes.index}/_refresh")
        async with asyncio.timeout(60):
            while not outcomes(later := await passes.get()):
                pass
        task.cancel()

    assert outcomes(first) == {"repaired": 1}
    assert (found(later), outcomes(later)) == ({"pending": 1}, {"repaired": 1})
    await notes.assert_right()
