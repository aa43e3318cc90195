"""The client without an event loop: how it is opened, kept and closed."""

import asyncio
import gc
import threading
from typing import Any

import pytest

from sidecar.errors import Conflict, EmbedderUnavailable, InvalidInput
from sidecar.model import Role
from sidecar.models.catalogue import shipped_versions
from sidecar.rpc import SyncEmbedderClient
from tests.support.built import MINILM
from tests.support.embedders import StubServer, serving_stub
from tests.support.waiting import until

VERSION = shipped_versions()[MINILM]


def ask(client: SyncEmbedderClient) -> tuple[int, ...]:
    return client.encode(["a"], Role.QUERY, model=MINILM).shape


def refused(client: SyncEmbedderClient) -> str:
    with pytest.raises(Conflict) as refusal:
        ask(client)
    return str(refusal.value)


def threads() -> int:
    return sum(thread.name == "embedder client" for thread in threading.enumerate())


def test_the_client_without_an_event_loop_and_without_a_server() -> None:
    with SyncEmbedderClient("127.0.0.1:1") as client:
        assert not client.healthy()
        with pytest.raises(EmbedderUnavailable):
            client.encode(["a"], Role.QUERY, model=MINILM)


async def test_a_client_may_be_kept_and_closed() -> None:
    async with serving_stub(StubServer(VERSION)) as address:
        client = SyncEmbedderClient(address)
        client.close()
        with client:  # opens it again
            assert await asyncio.to_thread(ask, client) == (1, VERSION.dimension)
        client.close()
        with pytest.raises(Conflict, match="the client is closed"):
            ask(client)
        kept = SyncEmbedderClient(address)
        assert await asyncio.to_thread(ask, kept) == (1, VERSION.dimension)
        assert threads() == 1
        del kept
        gc.collect()
        await until(lambda: threads() == 0)


async def test_whoever_closes_a_client_ends_its_calls() -> None:
    stub = StubServer(VERSION)
    stub.may_answer.clear()
    async with serving_stub(stub) as address, asyncio.TaskGroup() as tasks:
        client = SyncEmbedderClient(address)
        call = tasks.create_task(asyncio.to_thread(refused, client))
        await stub.was_asked.wait()
        await asyncio.to_thread(client.close)
        assert await call == "the client was closed during the call"


@pytest.mark.parametrize(
    ("texts", "field"),
    [
        pytest.param("a question", "texts", id="one string"),
        pytest.param(b"bytes", "texts", id="bytes"),
        pytest.param(None, "texts", id="None"),
        pytest.param(["a", None], "texts[1]", id="a text that is None"),
    ],
)
def test_wrong_texts_are_refused_by_every_call(texts: Any, field: str) -> None:
    with SyncEmbedderClient("127.0.0.1:1") as client:
        for call in (client.embed, client.encode):
            with pytest.raises(InvalidInput) as refusal:
                call(texts, Role.QUERY, model=MINILM)
            assert refusal.value.field == field


def test_a_stream_of_one_string_is_refused() -> None:
    client = SyncEmbedderClient("127.0.0.1:1")
    with pytest.raises(InvalidInput, match="texts: must be a list of texts, not one str"):
        next(client.embed_many("abc", Role.PASSAGE, model=MINILM))
    client.close()
