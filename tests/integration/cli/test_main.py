"""Servers and commands whose log nobody reads: they answer, end and fail as ever."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.support.built import MINILM, W8
from tests.support.http import http
from tests.support.readers import READERS, gone, unread
from tests.support.waiting import PATIENCE_S, until

FREE = "127.0.0.1:0"
EVERY_READER = pytest.mark.parametrize("reader", READERS.values(), ids=READERS)


@asynccontextmanager
async def command(*arguments: str, stderr: int) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sidecar.cli.main", *arguments), stdout=asyncio.subprocess.PIPE, stderr=stderr
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def ready(process: asyncio.subprocess.Process) -> dict[str, str]:
    assert process.stdout is not None
    found: dict[str, str] = json.loads(await process.stdout.readline())
    return found


async def ended(process: asyncio.subprocess.Process) -> int:
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(PATIENCE_S):
        return await process.wait()


def child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


@pytest.mark.parametrize("reader", [gone, unread])
async def test_an_embedder_refuses_recovers_and_drains_as_ever(reader: Callable, w8_models: Path) -> None:
    arguments = ("--model", W8, "--listen", FREE, "--http-listen", FREE, "--json")
    with reader() as number:
        async with command("embedder", *arguments, stderr=number) as process:
            address = (await ready(process))["http"]
            async with http(f"http://{address}") as (one,), asyncio.timeout(3 * PATIENCE_S):
                for body, status in (({"model": MINILM, "input": ""}, 400), ({"model": "no@1", "input": "a"}, 404)):
                    for _ in range(20):
                        assert (await one("POST", "/v1/embeddings", body)).status == status
                assert (await one("GET", "/livez")).status == 200

                worker = child_of(process.pid)
                os.kill(worker, signal.SIGKILL)

                async def another_computes() -> bool:
                    answer = await one("POST", "/v1/embeddings", {"model": MINILM, "input": f"beside {worker}"})
                    return answer.status == 200

                await until(another_computes)

                texts = [f"{number} " + "some words " * 60 for number in range(64)]
                async with asyncio.TaskGroup() as group:
                    last = group.create_task(one("POST", "/v1/embeddings", {"model": MINILM, "input": texts}))
                    assert (await one("POST", "/v1/embeddings", {"model": MINILM, "input": "a query"})).status == 200
                    process.send_signal(signal.SIGTERM)
                assert last.result().status == 200
            async with asyncio.timeout(PATIENCE_S):
                assert await process.wait() == 0


@EVERY_READER
async def test_a_bridge_answers_and_ends_as_ever(reader: Callable) -> None:
    nowhere = ("--upstream", "http://127.0.0.1:9", "--embedder", "127.0.0.1:9")
    with reader() as number:
        arguments = ("--listen", FREE, "--admin-listen", FREE, *nowhere, "--json")
        async with command("bridge", *arguments, stderr=number) as process:
            addresses = await ready(process)
            async with http(addresses["bridge"], addresses["admin"]) as (bridge, admin), asyncio.timeout(PATIENCE_S):
                for _ in range(20):
                    assert (await bridge("GET", "/a/_search")).status == 503
                assert (await admin("GET", "/livez")).status == 200
            assert await ended(process) == 0


@EVERY_READER
async def test_a_command_ends_with_its_own_exit_code(reader: Callable) -> None:
    with reader() as number:
        async with command("embedder", "--model", "no@1", stderr=number) as process, asyncio.timeout(PATIENCE_S):
            assert await process.wait() == 2


def sockets(pid: int) -> int:
    """How many sockets a process has open. It opens and closes other files at the same time."""
    targets = list[str]()
    for one in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            targets.append(str(one.readlink()))
    return sum(target.startswith("socket:") for target in targets)


async def test_a_server_serves_whoever_reads_its_ready_line(tmp_path: Path) -> None:
    arguments = ("--listen", FREE, "--admin-listen", FREE, "--upstream", "http://127.0.0.1:9", "--json")
    read, write = os.pipe()
    os.close(read)
    with (tmp_path / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sidecar.cli.main", "bridge", *arguments), stdout=write, stderr=log
        )
    os.close(write)
    await until(lambda: sockets(process.pid) >= 2)
    assert await ended(process) == 0
    assert b"Traceback" not in (tmp_path / "log").read_bytes()
