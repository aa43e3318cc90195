"""Which replica is asked, and what is asked again elsewhere; the servers are real but say what they are told to."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from sidecar.contract import embedding_pb2 as pb
from sidecar.contract import embedding_pb2_grpc
from sidecar.embedding.statuses import NotServing, status_of
from sidecar.errors import (
    DeadlineExceeded,
    EmbedderOverloaded,
    EmbedderUnavailable,
    InvalidInput,
    ModelNotFound,
    SidecarError,
    SpaceMismatch,
)
from sidecar.rpc import EmbedderClient, SyncEmbedderClient, rotation
from tests.support.certificates import Authority

DRAINS, BUSY = NotServing("draining"), EmbedderOverloaded(1.0)
HANGS = "never answers"


@dataclass
class Scripted(embedding_pb2_grpc.ModelsServicer, health_pb2_grpc.HealthServicer):
    """Lists no models, or fails as it is told to."""

    says: SidecarError | str | None = None
    serves: bool = True
    asked: int = 0
    probes: int = 0
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    address: str = ""

    async def List(self, request: Any, context: Any) -> pb.ListModelsReply:  # noqa: N802
        self.asked += 1
        if self.says == HANGS:
            await self.may_answer.wait()
        elif isinstance(self.says, SidecarError):
            status = rpc_status.to_status(status_of(self.says))
            await context.abort(status.code, status.details, status.trailing_metadata)
        return pb.ListModelsReply()

    async def Check(self, request: Any, context: Any) -> health_pb2.HealthCheckResponse:  # noqa: N802
        self.probes += 1
        status = health_pb2.HealthCheckResponse
        return status(status=status.SERVING if self.serves else status.NOT_SERVING)


@asynccontextmanager
async def listening(
    server: Scripted, address: str = "127.0.0.1:0", tls: grpc.ServerCredentials | None = None
) -> AsyncIterator[Scripted]:
    running = grpc.aio.server()
    embedding_pb2_grpc.add_ModelsServicer_to_server(server, running)
    health_pb2_grpc.add_HealthServicer_to_server(server, running)
    port = running.add_secure_port(address, tls) if tls else running.add_insecure_port(address)
    server.address = f"127.0.0.1:{port}"
    await running.start()
    try:
        yield server
    finally:
        await running.stop(grace=0)


@asynccontextmanager
async def client_of(servers: Sequence[Scripted]) -> AsyncIterator[EmbedderClient]:
    async with AsyncExitStack() as stack:
        for server in servers:
            await stack.enter_async_context(listening(server))
        yield await stack.enter_async_context(EmbedderClient([server.address for server in servers]))


async def comes_back(client: EmbedderClient) -> None:
    async with asyncio.timeout(5):
        while not await client.healthy():  # noqa: ASYNC110 - what changes is beyond this loop
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("says", "outcome", "asked"),
    [
        pytest.param([None, None], None, [1, 0], id="the first answers"),
        pytest.param([DRAINS, None], None, [1, 1], id="the first drains"),
        pytest.param([DRAINS, DRAINS], EmbedderUnavailable, [1, 1], id="all drain"),
        pytest.param([BUSY, None], None, [1, 1], id="the first is busy"),
        pytest.param([BUSY, BUSY, None], EmbedderOverloaded, [1, 1, 0], id="two are busy: no third is loaded"),
        pytest.param([BUSY, DRAINS], EmbedderOverloaded, [1, 1], id="to wait for the busy one would help"),
        pytest.param([BUSY], EmbedderOverloaded, [1], id="there is no other"),
        pytest.param([ModelNotFound("m"), None], ModelNotFound, [1, 0], id="replicas of different models"),
        pytest.param([SpaceMismatch("m", "a", "b"), None], SpaceMismatch, [1, 0], id="of different spaces"),
        pytest.param([InvalidInput("texts", "no"), None], InvalidInput, [1, 0], id="a bad request is bad everywhere"),
        pytest.param([HANGS, None], DeadlineExceeded, [1, 0], id="the time is over"),
    ],
)
async def test_what_is_asked_elsewhere(
    says: list[SidecarError | str | None], outcome: type[SidecarError] | None, asked: list[int]
) -> None:
    servers = [Scripted(one) for one in says]
    async with client_of(servers) as client:
        if outcome is None:
            assert await client.models() == ()
        else:
            with pytest.raises(outcome):
                await client.models(timeout_s=0.5)
    assert [server.asked for server in servers] == asked


async def test_calls_go_round() -> None:
    servers = [Scripted() for _ in range(3)]
    async with client_of(servers) as client:
        for _ in range(9):
            await client.models()
    assert [server.asked for server in servers] == [3, 3, 3]
    assert [server.probes for server in servers] == [0, 0, 0]


async def test_a_name_is_looked_up_again_when_a_server_has_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = Authority.make(tmp_path, "ours")
    certificate, key = ours.sign(tmp_path, "server", host="embedder")
    tls = grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
    old, new = Scripted(), Scripted()
    behind: list[Scripted] = []

    def look_up(host: str, *_: Any) -> list[Any]:
        if not behind:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        assert host == "embedder"
        return [(socket.AF_INET, 1, 6, "", ("127.0.0.1", int(one.address.rpartition(":")[2]))) for one in behind]

    async def answers(client: EmbedderClient) -> None:
        async with asyncio.timeout(5):
            while True:
                try:
                    await client.models()
                except EmbedderUnavailable:
                    await asyncio.sleep(0.02)
                else:
                    return

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(rotation, "_LOOKUP_AFTER_FAILURE_S", 0)
    async with EmbedderClient("dns:///embedder:50051", tls_ca=ours.file) as client:
        with pytest.raises(EmbedderUnavailable, match=r"dns:///embedder:50051 cannot be looked up: .*no such name"):
            await client.models()
        async with listening(old, tls=tls):
            behind.append(old)
            await answers(client)
        async with listening(new, tls=tls):
            behind[:] = [new]
            await answers(client)
            assert [one.address for one in client._rotation._replicas.values()] == [new.address]
            assert client._rotation._retired == []
    assert (old.asked, new.asked) == (1, 1)


async def test_certificates_are_read_again_and_calls_in_flight_end_on_the_old_ones(tmp_path: Path) -> None:
    ours, next_one = Authority.make(tmp_path, "ours"), Authority.make(tmp_path, "next")
    certificate, key = ours.sign(tmp_path, "server")
    tls = grpc.ssl_server_credentials(
        [(key.read_bytes(), certificate.read_bytes())], ours.file.read_bytes(), require_client_auth=True
    )
    mine, my_key = ours.sign(tmp_path, "client")
    server = Scripted(HANGS)
    async with (
        listening(server, tls=tls),
        EmbedderClient(server.address, tls_ca=ours.file, tls_certificate=mine, tls_key=my_key) as client,
        asyncio.TaskGroup() as group,
    ):
        in_flight = group.create_task(client.models(timeout_s=20))
        async with asyncio.timeout(5):
            while not server.asked:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.02)
        server.says = None
        old_key = my_key.read_bytes()
        next_one.sign(tmp_path, "client")
        new_key = my_key.read_bytes()
        my_key.write_bytes(old_key)  # half of a rotation changes nothing
        assert await client.models() == ()
        my_key.write_bytes(new_key)
        with pytest.raises(EmbedderUnavailable):
            await client.models()
        server.may_answer.set()
        assert await in_flight == ()
        ours.sign(tmp_path, "client")
        await comes_back(client)
        assert await client.models() == ()


async def test_the_client_without_an_event_loop_takes_several_addresses() -> None:
    servers = Scripted(), Scripted()

    def ask(*addresses: str) -> None:
        with SyncEmbedderClient(addresses) as client:
            client.models()
            client.models()

    async with listening(servers[0]), listening(servers[1]):
        await asyncio.to_thread(ask, *(server.address for server in servers))
    assert [server.asked for server in servers] == [1, 1]
