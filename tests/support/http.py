"""A plain HTTP client for tests: what it is given goes out, what comes back is kept as it is."""

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def json(self) -> dict:
        return json.loads(self.body)

    @property
    def ingested(self) -> tuple[int, int]:
        """Of `X-Sidecar-Ingest`: embedded and pending. What the cache knows depends on the tests before."""
        counts = dict(part.split("=") for part in self.headers["X-Sidecar-Ingest"].split("; "))
        return int(counts["embedded"]), int(counts["pending"])


@dataclass(frozen=True, slots=True)
class Http:
    """Requests to one server."""

    url: str
    session: aiohttp.ClientSession

    async def __call__(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """`body`: bytes as they are, anything else as JSON. Header names are written with "_" for "-"."""
        return await self.request(method, path, body, {name.replace("_", "-"): v for name, v in headers.items()})

    async def request(self, method: str, path: str, body: object, headers: Mapping[str, str]) -> Answer:
        """The same with headers that are named as they are."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json"} if data is not None else {}
        sent |= headers
        async with self.session.request(
            method, URL(self.url + path, encoded=True), data=data, headers=sent, allow_redirects=False
        ) as response:
            return Answer(response.status, response.headers, await response.read())


@asynccontextmanager
async def http(*urls: str, tls_ca: Path | None = None, **headers: str) -> AsyncIterator[tuple[Http, ...]]:
    """`headers` go with every request; `tls_ca` is the file of the authority to trust."""
    plain = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
    connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=tls_ca) if tls_ca else True)
    async with aiohttp.ClientSession(
        connector=connector, headers=headers, auto_decompress=False, skip_auto_headers=plain
    ) as session:
        yield tuple(Http(url, session) for url in urls)


async def seen_by_client(url: str, method: str, path: str, body: object = None) -> int | str:
    """The status that a client sees, or that its connection is `refused` or `lost`. It does not try again."""
    async with http(url) as (server,):
        server.session._retry_connection = False  # aiohttp would send a PUT again
        try:
            return (await server(method, path, body)).status
        except aiohttp.ClientConnectorError:
            return "refused"
        except aiohttp.ClientError:
            return "lost"


def ndjson(*lines: object) -> bytes:
    """Each line as JSON (bytes as they are), each with its line end."""
    return b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)
