"""Cases 19, 21, 25 and 26: what each port shows and to whom, where the bridge connects to, and limits."""

import asyncio
import json
import os
import resource
import sys
from pathlib import Path

import pytest

from sidecar.config import BridgeSettings, split_address
from tests.security.conftest import Start, send
from tests.support.between import ANY
from tests.support.recording import OK, recording
from tests.support.waiting import until

BANNERS = (b"aiohttp", b"Python", b"Traceback", b"\r\nServer:", b"\r\nDate:", b"site-packages", b".py")


def get(path: str, method: str = "GET", *, body: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: a\r\nOrigin: http://evil.example\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def test_case_19_the_admin_listener_is_for_this_machine_alone_by_default() -> None:
    host, _ = split_address(BridgeSettings().admin_listen)

    assert host == "127.0.0.1"


async def test_case_19_the_port_of_clients_has_none_of_it_and_no_get_changes_anything(start: Start) -> None:
    at = await start()
    for path in ("/livez", "/readyz", "/metrics"):
        answer = await send(at.admin_address, get(path))
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"access-control" not in answer.lower()
        for method in ("POST", "PUT", "DELETE"):
            assert (await send(at.admin_address, get(path, method))).startswith(b"HTTP/1.1 405 ")
        assert (await at.send(get(path))).endswith(b"\r\n\r\n{}")  # the cluster's answer
        assert at.upstream.heads[-1].startswith(f"GET {path} ".encode())


async def test_case_21_no_redirect_is_followed(start: Start) -> None:
    at = await start()
    async with recording() as elsewhere:
        at.upstream.answer = f"HTTP/1.1 307 Moved\r\nLocation: {elsewhere.url}/\r\nContent-Length: 0\r\n\r\n".encode()
        for path in ("/", "/papers/_search", "/papers/_doc/1"):
            answer = await at.send(get(path))
            assert answer.startswith(b"HTTP/1.1 307 ")
            assert elsewhere.url.encode() in answer
        assert elsewhere.heads == []


async def test_case_21_no_proxy_of_the_environment_is_used(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    async with recording() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        at = await start()

        assert (await at.send(get("/"))).endswith(b"{}")
        assert proxy.heads == []


async def test_case_21_the_hosts_in_a_body_are_the_clusters_business(start: Start) -> None:
    at = await start()
    async with recording() as elsewhere:
        body = json.dumps(
            {"source": {"remote": {"host": elsewhere.url}, "index": "a"}, "dest": {"index": "b"}}
        ).encode()

        await at.send(get("/_reindex", "POST", body=body))

        assert at.upstream.bodies[-1] == body
        assert elsewhere.heads == []


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"\x16\x03\x01\r\n\r\n", id="no HTTP"),
        pytest.param(get("http://evil.example/"), id="another host"),
        pytest.param(get("/", "TRACE"), id="a method that is not served"),
        pytest.param(get("/_search?sidecar=evil", "POST", body=b"{}"), id="an option that is not valid"),
        pytest.param(get("/papers/_bulk", "POST", body=b"evil\n"), id="a bulk that is not valid"),
        pytest.param(get("/_plugins/_sidecar/evil"), id="no such call of ours"),
        pytest.param(get("/"), id="an upstream that has gone"),
    ],
)
async def test_case_25_an_error_of_ours_shows_nothing_that_lies_behind_it(start: Start, sent: bytes) -> None:
    at = await start()
    at.upstream.leave()
    answer = await at.send(sent)

    assert b'"error":{"root_cause":[' in answer
    assert not [banner for banner in (*BANNERS, at.upstream.url.encode()[7:], b"127.0.0.1") if banner in answer]


async def test_case_25_server_and_date_are_the_clusters(start: Start) -> None:
    at = await start()
    at.upstream.answer = OK.replace(b"\r\n\r\n", b"\r\nServer: its-own\r\nDate: then\r\n\r\n")
    answer = await at.send(get("/"))

    assert b"\r\nServer: its-own\r\n" in answer
    assert b"\r\nDate: then\r\n" in answer


async def test_case_25_the_pages_of_the_admin_listener_name_no_server(start: Start) -> None:
    at = await start()
    for sent in (get("/none"), get("/livez", "POST"), b"\x16\x03\x01\r\n\r\n", get("/livez")):
        answer = await send(at.admin_address, sent)
        assert not [banner for banner in BANNERS if banner in answer]


async def test_case_26_one_client_has_so_many_connections_and_requests(start: Start) -> None:
    at = await start(max_client_connections=2, max_client_requests=1)
    at.upstream.silent = b"/slow"
    opened = [await asyncio.open_connection(*split_address(at.address)) for _ in range(2)]
    opened[0][1].write(get("/slow"))
    await until(lambda: len(at.upstream.heads) == 1)
    opened[1][1].write(get("/"))
    second = await opened[1][0].read()
    third = await at.send(get("/"))
    fourth_opened = [await asyncio.open_connection(*split_address(at.address))]
    fourth = await at.send(get("/"))
    for _, writer in (*opened, *fourth_opened):
        writer.transport.abort()

    for answer, limit in ((second, b"[1] requests (bridge.max_client_requests)"), (third, b"[1] requests"),
                          (fourth, b"more than [2] connections of one client")):  # fmt: skip
        assert answer.startswith(b"HTTP/1.1 429 ")
        assert limit in answer
        assert b'"type":"rejected_execution_exception"' in answer
    assert len(at.upstream.heads) == 1


async def test_case_26_a_trusted_proxy_speaks_for_many_clients(start: Start) -> None:
    at = await start(max_client_connections=1, max_client_requests=1, trusted_proxies="127.0.0.1")
    at.upstream.silent = b"/slow"
    opened = [await asyncio.open_connection(*split_address(at.address)) for _ in range(3)]
    opened[0][1].write(get("/slow").replace(b"Origin", b"X-Forwarded-For: 1.1.1.1\r\nOrigin"))
    await until(lambda: len(at.upstream.heads) == 1)
    same = await at.send(get("/").replace(b"Origin", b"X-Forwarded-For: 1.1.1.1\r\nOrigin"))
    other = await at.send(get("/").replace(b"Origin", b"X-Forwarded-For: 2.2.2.2\r\nOrigin"))
    for _, writer in opened:
        writer.transport.abort()

    assert same.startswith(b"HTTP/1.1 429 ")
    assert other.startswith(b"HTTP/1.1 200 ")


async def test_case_26_a_process_without_free_descriptors_says_little_and_recovers(tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with recording() as upstream:
        with log.open("wb") as lines:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "sidecar.cli.main", "bridge", "--json", "--listen", ANY, "--admin-listen", ANY),
                *("--upstream", upstream.url, "--embedder", "127.0.0.1:1"),
                stdout=asyncio.subprocess.PIPE,
                stderr=lines,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256)),
                env={**os.environ, "SIDECAR_LOG_LEVEL": "info"},
            )
        try:
            assert process.stdout is not None
            address = json.loads(await process.stdout.readline())["bridge"].removeprefix("http://")
            opened = [await asyncio.open_connection(*split_address(address)) for _ in range(400)]
            refused = await send(address, get("/"))
            for _, writer in opened:
                writer.transport.abort()
            await until(lambda: _answers(address), every_s=0.1)
        finally:
            process.kill()
            await process.communicate()

    assert not refused or refused.startswith(b"HTTP/1.1 503 ")
    assert len(log.read_bytes().splitlines()) < 10


async def _answers(address: str) -> bool:
    return (await send(address, get("/"))).startswith(b"HTTP/1.1 200 ")
