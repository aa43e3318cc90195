"""Cases 16 to 18: logs and metrics, and what clients may put into them."""

import json

import pytest
import structlog

from sidecar.telemetry import configure_logging
from tests.security.conftest import Start, send

CANARY = "canary-7f3a"
ODD = '%0d%0aHTTP/1.1%20200%20\x1b[31m{"level":"info"}'.replace(" ", "%20").replace("\x1b", "%1b")


@pytest.fixture
def json_lines() -> object:
    configure_logging("debug")
    yield
    structlog.reset_defaults()


def request(path: str, body: str = "", method: str = "POST", **headers: str) -> bytes:
    given = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n{given}"
    return f"{head}Content-Length: {len(body.encode())}\r\n\r\n{body}".encode()


@pytest.mark.usefixtures("json_lines")
async def test_case_16_and_17_a_log_has_lines_of_json_and_no_secret(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    at = await start()
    secret = {
        "Authorization": f"Bearer {CANARY}",
        "Cookie": f"session={CANARY}",
        "X_Opaque_Id": 'a\\r\\n{"level":"error"}' + "x" * 5_000,
    }
    document = json.dumps({"title": CANARY, "embedding": [0.1, 0.2]})
    for upstream_answers in (b"", b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"):
        at.upstream.answer = upstream_answers
        for sent in (
            request(f"/{ODD}/_doc/1?token={CANARY}", document, **secret),
            request("/papers/_bulk", '{"index":{}}\n' + document + "\n", **secret),
            request("/papers/_bulk", f"{CANARY}\n", **secret),
            request("/papers/_search", '{"query":{"match":{"title":"' + CANARY + '"}}}', **secret),
            request("/papers/_search", '{"query":' + CANARY, **secret),
            request("/papers/_search?sidecar_k=x", "{}", **secret),
            request(f"/_plugins/_sidecar/{CANARY}", "{}", **secret),
            request("/papers/_bulk", document, Content_Encoding="gzip", **secret),
            request(f"http://{CANARY}/", "", **secret),
            request("/", "", "TRACE", **secret),
            request("/", "", **secret).replace(b"Host: a", b"Host: a\r\nHost: b"),
        ):
            await at.send(sent)

    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) > 5
    for line in lines:
        assert isinstance(json.loads(line), dict)
        assert len(line) < 16_384
    assert CANARY not in err


async def test_case_18_no_client_adds_a_series(start: Start) -> None:
    at = await start()

    async def series() -> set[bytes]:
        text = await send(at.admin_address, request("/metrics", "", "GET"))
        return {line.rpartition(b" ")[0] for line in text.splitlines() if line.startswith(b"sidecar_")}

    async def ask(number: int) -> None:
        for method in ("GET", "POST", "PUT", f"M{number}"):
            await at.send(request(f"/index-{number}/_search?p{number}=1", "{}", method, X_Opaque_Id=f"{number}"))

    await ask(0)
    before = await series()
    for number in range(1, 40):
        await ask(number)

    assert before
    assert await series() == before
