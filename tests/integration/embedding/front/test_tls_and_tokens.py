"""Tokens and TLS of the embedding server, over gRPC and HTTP alike, and that both rotate without a restart."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from structlog.testing import capture_logs

from sidecar.config import EmbedderSettings
from sidecar.contract import embedding_pb2_grpc
from sidecar.embedding.loading.models import LoadedModel
from sidecar.embedding.server import Running, serving
from sidecar.errors import ConfigurationError, EmbedderUnavailable
from sidecar.model import Role
from sidecar.ports import Lane
from sidecar.rpc import EmbedderClient
from tests.support.certificates import Authority
from tests.support.computing import ready

MINILM = "all-minilm-l6-v2@1"


@asynccontextmanager
async def server(*models: LoadedModel, **settings: Any) -> AsyncIterator[Running]:
    free = {"listen": "127.0.0.1:0", "http_listen": "127.0.0.1:0"}
    async with serving(EmbedderSettings(**{**free, **settings}), ready(*models)) as running:
        yield running


async def embeds(address: str, **security: Any) -> bool:
    """Whether a client with this token and these certificates gets a vector, on a connection of its own."""
    async with EmbedderClient(address, **security) as client:
        try:
            found = await client.embed(["a"], Role.QUERY, model=MINILM, lane=Lane.INTERACTIVE, timeout_s=20)
        except EmbedderUnavailable:
            return False
        return found.items[0].error is None


async def get(url: str, tls: ssl.SSLContext | None = None, **headers: str) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session, session.get(url, ssl=tls or True, headers=headers) as answer:
        return answer.status, await answer.json() if answer.content_type == "application/json" else None


async def test_a_token_is_asked_for_on_both_doors_but_not_by_probes(minilm: LoadedModel, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("# of the bridge\nfirst-token\n\n  second-token  \n")
    with capture_logs() as logs:
        async with server(minilm, tokens_file=str(tokens)) as running:
            for token, status in [("first-token", 200), ("second-token", 200), ("first-toke", 401), ("", 401)]:
                assert await embeds(running.address, token=token) is (status == 200)
                headers = {"Authorization": f"Bearer {token}"} if token else {}
                answer = await get(f"http://{running.http_address}/v1/models", **headers)
                assert answer[0] == status
            assert answer[1]["error"]["code"] == "invalid_api_key"
            assert (await get(f"http://{running.http_address}/v1/no"))[0] == 401  # what is there is nobody's business
            for path in ("livez", "readyz", "metrics"):
                assert (await get(f"http://{running.http_address}/{path}"))[0] == 200
            async with EmbedderClient(running.address) as client:
                assert await client.healthy()
                with pytest.raises(EmbedderUnavailable, match="a valid bearer token is required"):
                    await client.models()
                with pytest.raises(EmbedderUnavailable, match="a valid bearer token is required"):
                    await anext(client.embed_many(["a"], Role.QUERY, model=MINILM))
            async with grpc.aio.insecure_channel(running.address) as channel:
                stream = embedding_pb2_grpc.EmbedderStub(channel).EmbedStream()  # refused without a message
                with pytest.raises(grpc.aio.AioRpcError, match="a valid bearer token is required"):
                    await stream.read()
    assert "-token" not in str(logs)


async def test_tokens_rotate_without_a_restart(minilm: LoadedModel, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("old\n")
    ours = ["old"]
    async with (
        server(minilm, tokens_file=str(tokens)) as running,
        EmbedderClient(running.address, token=lambda: ours[0]) as client,
    ):
        assert await client.models()
        tokens.write_text("new and improved\n")  # a space: not a token, so the old one stays
        assert await client.models()
        tokens.write_text("newer\n")
        with pytest.raises(EmbedderUnavailable):
            await client.models()
        ours[0] = "newer"
        assert await client.models()
        tokens.write_text("")  # everything is taken away
        with pytest.raises(EmbedderUnavailable):
            await client.models()


async def test_tls_with_the_right_authority_and_name(minilm: LoadedModel, tmp_path: Path) -> None:
    ours, other = Authority.make(tmp_path, "ours"), Authority.make(tmp_path, "other")
    certificate, key = ours.sign(tmp_path, "server")
    settings = {"tls_certificate": str(certificate), "tls_key": str(key)}
    async with server(minilm, **settings) as running:
        assert await embeds(running.address, tls_ca=ours.file)
        assert not await embeds(running.address, tls_ca=other.file)
        assert not await embeds(running.address)  # plain text
        url = f"https://{running.http_address}/v1/models"
        assert (await get(url, ssl.create_default_context(cafile=str(ours.file))))[0] == 200
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await get(url, ssl.create_default_context(cafile=str(other.file)))

        ours.sign(tmp_path, "server", host="elsewhere.example")
        assert not await embeds(running.address, tls_ca=ours.file)
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await get(url, ssl.create_default_context(cafile=str(ours.file)))


async def test_certificates_rotate_without_a_restart(minilm: LoadedModel, tmp_path: Path) -> None:
    ours, next_one = Authority.make(tmp_path, "ours"), Authority.make(tmp_path, "next")
    certificate, key = ours.sign(tmp_path, "server")
    old_tls, new_tls = (ssl.create_default_context(cafile=str(one.file)) for one in (ours, next_one))
    async with server(minilm, tls_certificate=str(certificate), tls_key=str(key)) as running:
        url = f"https://{running.http_address}/v1/models"
        old_key = key.read_bytes()
        next_one.sign(tmp_path, "server")
        new_key = key.read_bytes()

        key.write_bytes(old_key)  # half of a rotation: nothing changes until the rest is there
        assert await embeds(running.address, tls_ca=ours.file)
        assert (await get(url, old_tls))[0] == 200

        key.write_bytes(new_key)
        assert await embeds(running.address, tls_ca=next_one.file)
        assert not await embeds(running.address, tls_ca=ours.file)
        assert (await get(url, new_tls))[0] == 200


async def test_a_client_certificate_is_required_and_its_authority_rotates(minilm: LoadedModel, tmp_path: Path) -> None:
    ours, clients, others = (Authority.make(tmp_path, name) for name in ("ours", "clients", "others"))
    certificate, key = ours.sign(tmp_path, "server")
    accepted = tmp_path / "accepted.pem"
    accepted.write_bytes(clients.file.read_bytes())
    good, bad = clients.sign(tmp_path, "good"), others.sign(tmp_path, "bad")

    async def both(address: str, http_address: str, files: tuple[Path, Path] | None) -> tuple[bool, bool]:
        tls = ssl.create_default_context(cafile=str(ours.file))
        options: dict[str, Any] = {"tls_ca": ours.file}
        if files is not None:
            tls.load_cert_chain(*files)
            options |= {"tls_certificate": files[0], "tls_key": files[1]}
        try:
            over_http = (await get(f"https://{http_address}/v1/models", tls))[0] == 200
        except aiohttp.ClientError:
            over_http = False
        return await embeds(address, **options), over_http

    settings = {"tls_certificate": str(certificate), "tls_key": str(key), "tls_client_ca": str(accepted)}
    async with server(minilm, **settings) as running:
        where = running.address, running.http_address
        assert await both(*where, good) == (True, True)
        assert await both(*where, bad) == (False, False)
        assert await both(*where, None) == (False, False)
        accepted.write_bytes(others.file.read_bytes())
        assert await both(*where, good) == (False, False)
        assert await both(*where, bad) == (True, True)


async def test_tls_below_1_2_is_refused(minilm: LoadedModel, tmp_path: Path) -> None:
    ours = Authority.make(tmp_path, "ours")
    certificate, key = ours.sign(tmp_path, "server")
    old = ssl.create_default_context(cafile=str(ours.file))
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSVersion"):
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    async with server(minilm, tls_certificate=str(certificate), tls_key=str(key)) as running:
        for address in (running.address, running.http_address):
            with pytest.raises(aiohttp.ClientConnectorError):
                await get(f"https://{address}/", old)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        pytest.param({"tokens_file": "empty"}, "embedder.tokens_file: .*empty holds no token", id="no token"),
        pytest.param({"tokens_file": "gone"}, "gone: No such file or directory", id="no file"),
        pytest.param({"tls_certificate": "ours.pem"}, "must be given together", id="certificate without key"),
        pytest.param({"tls_client_ca": "ours.pem"}, "must be given together", id="client CA alone"),
        pytest.param(
            {"tls_certificate": "ours.pem", "tls_key": "server.key"}, "KEY_VALUES_MISMATCH", id="key of another"
        ),
        pytest.param({"tls_certificate": "empty", "tls_key": "server.key"}, "embedder.tls_certificate", id="no PEM"),
    ],
)
async def test_files_that_cannot_be_used_are_told_at_the_start(
    settings: dict[str, str], sentence: str, tmp_path: Path
) -> None:
    Authority.make(tmp_path, "ours").sign(tmp_path, "server")
    (tmp_path / "empty").write_text("# nothing\n")
    with pytest.raises(ConfigurationError, match=sentence):
        async with server(**{name: str(tmp_path / file) for name, file in settings.items()}):
            pass


async def test_the_settings_of_the_bridge_reach_the_client(minilm: LoadedModel, tmp_path: Path) -> None:
    from sidecar.cli.embedder_client import embedder_client
    from sidecar.config import BridgeSettings

    ours = Authority.make(tmp_path, "ours")
    certificate, key = ours.sign(tmp_path, "server")
    token = tmp_path / "token"
    token.write_text("secret\n")
    settings = {"tls_certificate": str(certificate), "tls_key": str(key), "tls_client_ca": str(ours.file)}
    async with server(minilm, tokens_file=str(token), **settings) as running:
        bridge = BridgeSettings(
            embedder=running.address,
            embedder_token_file=str(token),
            embedder_tls_ca=str(ours.file),
            embedder_tls_certificate=str(certificate),
            embedder_tls_key=str(key),
        )
        async with embedder_client(bridge) as client:
            assert [served.version.id for served in await client.models()] == [MINILM]
    token.write_text("two words\n")
    with pytest.raises(ConfigurationError, match="must hold one token"):
        embedder_client(bridge)
