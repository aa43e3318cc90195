"""Repair beside writers."""

import asyncio
from collections.abc import Sequence

from sidecar.bridge.app import serving
from sidecar.errors import EmbedderUnavailable
from tests.cluster.repair.test_passes import (
    Notes,
    notes,  # noqa: F401 - fixtures
    outcomes,
)
from tests.support.between import bridge_settings
from tests.support.embedders import HashEmbedder
from tests.support.http import Http, http, ndjson
from tests.support.provenances import state_of
from tests.support.templates import TINY


async def test_what_a_writer_changes_meanwhile_is_looked_at_again(notes: Notes) -> None:
    await notes.put(changed={"title": "a"}, deleted={"title": "b"}, kept={"title": "c"})

    async def write_once() -> None:
        notes.embedder.meanwhile = None
        await notes.bulk({"index": {"_id": "changed"}}, {"title": "z"}, {"delete": {"_id": "deleted"}})

    notes.embedder.meanwhile = write_once
    report = await notes.repaired()

    assert outcomes(report) == {"repaired": 2, "gone": 1}
    assert (await notes.stored())["changed"]["_source"]["title"] == "z"
    await notes.assert_right()


async def test_a_document_that_never_rests_is_left_to_its_writer(notes: Notes) -> None:
    await notes.put(busy={"title": "a"}, kept={"title": "c"})
    writes = iter(range(100))

    async def write() -> None:
        await notes.put(busy={"title": f"a{next(writes)}"})

    notes.embedder.meanwhile = write
    report = await notes.repaired()

    assert outcomes(report) == {"repaired": 1, "busy": 1}
    assert not report.is_right
    assert state_of((await notes.stored())["busy"]["_source"]) == "pending"


async def test_case_27_two_repairs_at_once_do_the_work_once(notes: Notes) -> None:
    await notes.put(**{f"d{number}": {"title": f"text {number}"} for number in range(60)})

    first, second = await asyncio.gather(notes.repaired(), notes.repaired())

    assert first.is_right
    assert second.is_right
    # Texts that are embedded: each by one of them, or by both; and after that no repair finds anything.
    assert 60 <= sum(len(texts) for texts in notes.embedder.asked) <= 120
    before = await notes.stored()
    assert outcomes(await notes.repaired()) == {}
    assert await notes.stored() == before
    stored = await notes.stored()
    assert {state_of(hit["_source"]) for hit in stored.values()} == {"ok"}
    assert outcomes(first).get("repaired", 0) + outcomes(second).get("repaired", 0) == 60
    await notes.assert_right()


async def test_case_29_beside_clients_that_update_the_same_documents_no_update_is_lost(notes: Notes) -> None:
    ids, rounds = [f"d{number}" for number in range(10)], 12
    unsteady = HashEmbedder(TINY)
    await notes.put(**{name: {"title": "before"} for name in ids})

    async def write(bridge: Http, own: list[str]) -> None:
        for round_ in range(rounds):
            # Of every other round the texts are left to the repair.
            unsteady.failure = EmbedderUnavailable("nowhere", "gone") if round_ % 2 else None
            lines = [
                line for name in own for line in ({"update": {"_id": name}}, {"doc": {"title": f"{name} {round_}"}})
            ]
            answer = await bridge("POST", f"/{notes.index}/_bulk", ndjson(*lines))
            assert answer.json["errors"] is False

    async def repair_until(writing: Sequence[asyncio.Task[None]]) -> None:
        while not all(task.done() for task in writing):
            await notes.repaired()

    settings = bridge_settings(notes.url)
    async with (
        serving(settings, unsteady) as at,
        http(f"http://{at.address}") as (bridge,),
        asyncio.TaskGroup() as tasks,
    ):
        writing = [tasks.create_task(write(bridge, own)) for own in (ids[:5], ids[5:])]
        tasks.create_task(repair_until(writing))

    assert (await notes.repaired()).is_right
    assert {name: hit["_source"]["title"] for name, hit in (await notes.stored()).items()} == {
        name: f"{name} {rounds - 1}" for name in ids
    }
    await notes.assert_right()
