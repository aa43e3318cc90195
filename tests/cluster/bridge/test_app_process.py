"""What happens to writes when the bridge itself is stopped, killed or starved; the numbers are those of our list."""

import asyncio
import json
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import pytest

from sidecar.models.catalogue import shipped_versions
from tests.cluster.bridges import Papers
from tests.support.between import ANY, broken_promises, stored
from tests.support.embedders import StubServer, serving_stub
from tests.support.http import Answer, Http, http, ndjson

MINILM = shipped_versions()["all-minilm-l6-v2@1"]


@dataclass(frozen=True, slots=True)
class Running:
    """A bridge as a process, with the stub it asks for vectors."""

    process: asyncio.subprocess.Process
    bridge: Http
    stub: StubServer


@asynccontextmanager
async def running(papers: Papers) -> AsyncIterator[Running]:
    stub = StubServer(MINILM)
    async with serving_stub(stub) as embedder:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sidecar.cli.main", "bridge", "--json", "--listen", ANY, "--admin-listen", ANY),
            *("--upstream", papers.direct.url, "--embedder", embedder),
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            ready = json.loads(await process.stdout.readline())
            async with http(ready["bridge"]) as (bridge,):
                yield Running(process, bridge, stub)
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()


async def write(at: Running, papers: Papers, bulk: int) -> Answer:
    lines = ({"index": {"_id": f"{bulk}-{n}"}} if is_action else {"title": f"Passage {n} of {bulk}"}
             for n in range(10) for is_action in (True, False))  # fmt: skip
    return await at.bridge("POST", f"/{papers.index}/_bulk", ndjson(*lines))


async def until_asked(at: Running, times: int) -> None:
    async with asyncio.timeout(20):
        while len(at.stub.asked) < times:  # noqa: ASYNC110 - it is another process that asks
            await asyncio.sleep(0.01)


async def test_case_22_sigterm_finishes_every_bulk_in_work_and_lets_no_other_in(papers: Papers) -> None:
    async with running(papers) as at:
        at.stub.may_answer.clear()
        async with asyncio.TaskGroup() as tasks:
            writing = [tasks.create_task(write(at, papers, bulk)) for bulk in range(50)]
            await until_asked(at, 50)
            os.kill(at.process.pid, signal.SIGTERM)
            async with asyncio.timeout(5):
                while not await refuses(at.bridge.url):  # noqa: ASYNC110 - it is another process that closes
                    await asyncio.sleep(0.01)
            at.stub.may_answer.set()
        async with asyncio.timeout(10):
            assert await at.process.wait() == 0

        assert {task.result().ingested for task in writing} == {(10, 0)}
        assert len(await stored(papers.direct, papers.index)) == 500


async def refuses(url: str) -> bool:
    host, _, port = url.removeprefix("http://").rpartition(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except ConnectionError:  # reset: it was waiting to be accepted when the listener closed
        return True
    writer.close()
    return False


async def test_case_23_after_a_kill_retries_with_ids_give_each_document_once(papers: Papers) -> None:
    async with running(papers) as at:
        at.stub.may_answer.clear()
        async with asyncio.TaskGroup() as tasks:
            writing = [tasks.create_task(outcome(at, papers, bulk)) for bulk in range(20)]
            await until_asked(at, 10)
            at.stub.may_answer.set()
            await until_asked(at, 15)
            os.kill(at.process.pid, signal.SIGKILL)
    async with running(papers) as at:
        for bulk, task in enumerate(writing):
            if not task.result():
                assert (await write(at, papers, bulk)).json["errors"] is False

        documents = await stored(papers.direct, papers.index)
        assert documents.keys() == {f"{bulk}-{n}" for bulk in range(20) for n in range(10)}
        assert broken_promises(documents, papers.binding, at.stub.hashes) == []


async def outcome(at: Running, papers: Papers, bulk: int) -> bool:
    """Whether the bulk was acknowledged."""
    try:
        return (await write(at, papers, bulk)).json["errors"] is False
    except aiohttp.ClientError:
        return False


@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_case_25_a_bridge_without_free_descriptors_recovers_when_connections_end(papers: Papers) -> None:
    async with running(papers) as at:
        assert (await write(at, papers, 0)).ingested == (10, 0)
        used = len(os.listdir(f"/proc/{at.process.pid}/fd"))  # noqa: PTH208
        resource.prlimit(at.process.pid, resource.RLIMIT_NOFILE, (used + 10, used + 10))
        host, _, port = at.bridge.url.removeprefix("http://").rpartition(":")
        idle = [await asyncio.open_connection(host, int(port)) for _ in range(50)]
        for _, writer in idle:
            writer.close()
        async with asyncio.timeout(10):
            answer = await write(at, papers, 1)

        assert (answer.status, answer.ingested) == (200, (10, 0))


async def test_case_24_without_room_for_a_body_or_its_vectors_nothing_is_written(papers: Papers) -> None:
    async with running(papers) as at:
        resource.prlimit(at.process.pid, resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))
        large = ndjson({"index": {"_id": "a"}}, {"title": "Cats"}, {"index": {"_id": "b"}}, {"blob": "x" * 2_000_000})
        grows = ndjson(*(line for n in range(500) for line in ({"index": {"_id": str(n)}}, {"title": f"Passage {n}"})))
        refused = [await at.bridge("POST", f"/{papers.index}/_bulk", body) for body in (large, grows)]
        small = await write(at, papers, 1)

        assert [(answer.status, answer.json["error"]["type"]) for answer in refused] == [
            (429, "rejected_execution_exception"),
            (429, "rejected_execution_exception"),
        ]
        assert all("TMPDIR" in answer.json["error"]["reason"] for answer in refused)
        assert small.ingested == (10, 0)
        assert len(await stored(papers.direct, papers.index)) == 10
