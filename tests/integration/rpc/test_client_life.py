"""The asynchronous client: how it is opened, kept and closed."""

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from sidecar.errors import ConfigurationError, Conflict, InvalidInput, SidecarError
from sidecar.model import Role
from sidecar.models.catalogue import shipped_versions
from sidecar.ports import Lane
from sidecar.rpc import EmbedderClient
from tests.support.built import MINILM
from tests.support.embedders import StubServer, serving_stub

VERSION = shipped_versions()[MINILM]


async def ask(client: EmbedderClient) -> int:
    return len(await client.encode(["a"], Role.QUERY, model=MINILM))


async def refused(client: EmbedderClient) -> str:
    with pytest.raises(Conflict) as refusal:
        await ask(client)
    return str(refusal.value)


async def test_the_first_call_opens_and_close_closes() -> None:
    async with serving_stub(StubServer(VERSION)) as address:
        client = EmbedderClient(address)
        assert await asyncio.gather(ask(client), ask(client)) == [1, 1]
        await client.close()
        await client.close()
        with pytest.raises(Conflict, match="the client is closed"):
            await ask(client)
        async with aclosing(EmbedderClient(address)) as other:
            assert await ask(other) == 1


async def test_close_ends_the_calls_in_work() -> None:
    stub = StubServer(VERSION)
    stub.may_answer.clear()
    async with serving_stub(stub) as address, asyncio.TaskGroup() as tasks:
        client = EmbedderClient(address)
        call = tasks.create_task(refused(client))
        await stub.was_asked.wait()
        await client.close()
        assert await call == "the client was closed during the call"


async def test_a_caller_that_is_cancelled_stays_cancelled() -> None:
    stub = StubServer(VERSION)
    stub.may_answer.clear()
    async with serving_stub(stub) as address, EmbedderClient(address) as client, asyncio.TaskGroup() as tasks:
        call = tasks.create_task(ask(client))
        await stub.was_asked.wait()
        call.cancel()
        await asyncio.wait([call])
        assert call.cancelled()


def test_a_client_opens_again_in_the_next_event_loop() -> None:
    client = EmbedderClient("127.0.0.1:1")
    for _ in range(2):
        assert not asyncio.run(client.healthy())


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        pytest.param({"texts": "abc"}, "texts", id="one string"),
        pytest.param({"texts": ["a", 7]}, "texts[1]", id="a number as a text"),
        pytest.param({"role": "question"}, "role", id="an unknown role"),
        pytest.param({"lane": None}, "lane", id="no lane"),
        pytest.param({"model": None}, "model", id="no model"),
        pytest.param({"expect_space": 5}, "expect_space", id="a space that is a number"),
        pytest.param({"timeout_s": -1}, "timeout_s", id="a negative time"),
    ],
)
async def test_wrong_arguments_are_named(arguments: dict[str, Any], field: str) -> None:
    right = {"texts": ["a"], "role": Role.QUERY, "model": MINILM, "lane": Lane.BULK, "timeout_s": 5}
    async with EmbedderClient("127.0.0.1:1") as client:
        with pytest.raises(InvalidInput) as refusal:
            await client.embed(**(right | arguments))
        assert refusal.value.field == field


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        pytest.param({"address": None}, ConfigurationError, id="no address"),
        pytest.param({"address": ["127.0.0.1:1", 5]}, ConfigurationError, id="a number as an address"),
        pytest.param({"tls_ca": "no-such-file"}, ConfigurationError, id="a path that is a string"),
        pytest.param({"tls_ca": Path("no-such-file")}, ConfigurationError, id="no such file"),
        pytest.param({"token": "two words"}, ConfigurationError, id="a token that cannot be sent"),
        pytest.param({"token": lambda: None}, ConfigurationError, id="a function without a token"),
    ],
)
async def test_wrong_set_up_is_told(arguments: dict[str, Any], error: type[SidecarError]) -> None:
    with pytest.raises(error):
        async with EmbedderClient(**{"address": "127.0.0.1:1", **arguments}) as client:
            await client.models()
