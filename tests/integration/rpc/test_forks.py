"""Calls in forked children of a process that has clients: a vector, or an error in time."""

import asyncio
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator

import grpc
import pytest

from sidecar.errors import SidecarError
from sidecar.model import Role
from sidecar.models.catalogue import shipped_versions
from sidecar.rpc import EmbedderClient, SyncEmbedderClient
from tests.support.built import MINILM
from tests.support.embedders import StubServer, serving_stub
from tests.support.waiting import PATIENCE_S

VERSION = shipped_versions()[MINILM]
MODEL = VERSION.id
SHAPE = f"(1, {VERSION.dimension})"
FORK = multiprocessing.get_context("fork")


def _serve(address: "multiprocessing.Queue[str]") -> None:
    async def serve() -> None:
        async with serving_stub(StubServer(VERSION)) as at:
            address.put(at)
            await asyncio.Event().wait()

    asyncio.run(serve())


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A server in a process of its own: as a user of gRPC in this one, it would be in the way of every fork."""
    spawn = multiprocessing.get_context("spawn")
    found: multiprocessing.Queue[str] = spawn.Queue()
    process = spawn.Process(target=_serve, args=(found,), daemon=True)
    process.start()
    yield found.get(timeout=PATIENCE_S)
    process.kill()
    process.join()


def own(address: str) -> str:
    with SyncEmbedderClient(address) as client:
        return same(client)


def own_async(address: str) -> str:
    async def call() -> str:
        async with EmbedderClient(address) as client:
            return str((await client.encode(["text"], Role.QUERY, model=MODEL, timeout_s=5)).shape)

    return asyncio.run(call())


def same(client: SyncEmbedderClient) -> str:
    return str(client.encode(["text"], Role.QUERY, model=MODEL, timeout_s=5).shape)


def in_child(ask: Callable[[], str]) -> str:
    """What a forked child gets, or the name of its error."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            seen = ask()
        except SidecarError as error:
            seen = f"{type(error).__name__}: {error}"
        except BaseException as error:  # noqa: BLE001 - the child must not go on with the tests of its parent
            seen = repr(error)
        os.write(writing, seen.encode())
        os._exit(0)
    os.close(writing)
    watch = threading.Timer(PATIENCE_S, os.kill, (pid, 9))
    watch.start()
    os.waitpid(pid, 0)
    watch.cancel()
    with os.fdopen(reading) as seen_there:
        return seen_there.read()


def test_children_get_vectors_by_clients_of_their_own_and_by_the_copied_one(address: str) -> None:
    with SyncEmbedderClient(address) as client:
        assert same(client) == SHAPE
        assert in_child(lambda: own(address)) == SHAPE
        assert in_child(lambda: own_async(address)) == SHAPE
        assert in_child(lambda: same(client)) == SHAPE
        assert in_child(lambda: same(client) + in_child(lambda: same(client))) == 2 * SHAPE
        assert same(client) == SHAPE
    assert in_child(lambda: own(address)) == SHAPE


def test_a_pool_and_a_fork_in_a_thread(address: str) -> None:
    seen: list[str] = []
    client = SyncEmbedderClient(address)
    assert same(client) == SHAPE
    with FORK.Pool(2) as pool:
        assert pool.map_async(own, [address] * 4).get(PATIENCE_S) == [SHAPE] * 4
    thread = threading.Thread(target=lambda: seen.append(in_child(lambda: same(client))))
    thread.start()
    thread.join()
    assert seen == [SHAPE]
    assert same(client) == SHAPE
    client.close()


def test_a_fork_in_an_event_loop(address: str) -> None:
    async def main() -> None:
        async with EmbedderClient(address) as client:

            async def ask() -> str:
                return str((await client.encode(["text"], Role.QUERY, model=MODEL)).shape)

            assert await ask() == SHAPE
            assert in_child(lambda: own(address)) == SHAPE
            assert in_child(lambda: asyncio.new_event_loop().run_until_complete(ask())) == SHAPE
            assert await ask() == SHAPE

    asyncio.run(main())


def test_a_fork_while_grpc_is_in_use_is_told(address: str) -> None:
    async def main() -> None:
        async with grpc.aio.insecure_channel(address):
            assert "Conflict: this process was forked while gRPC was in use" in in_child(lambda: own(address))

    asyncio.run(main())
    assert in_child(lambda: own(address)) == SHAPE
