"""Requests over HTTP that are wrong, or come too early: an error in the shape of the API, and no fault of the server."""

import asyncio
import gzip
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY

from sidecar.config import EmbedderSettings
from sidecar.embedding.loading.models import LoadedModel
from sidecar.embedding.server import serving
from sidecar.errors import EmbedderUnavailable
from sidecar.rpc import EmbedderClient
from tests.support.computing import ready
from tests.support.http import http

MINILM = "all-minilm-l6-v2@1"
BODY = json.dumps({"model": MINILM, "input": "text"}).encode()
FREE = EmbedderSettings(listen="127.0.0.1:0", http_listen="127.0.0.1:0", max_texts=3)


def faults() -> float:
    labels = {"of": "request", "kind": "internal"}
    return REGISTRY.get_sample_value("sidecar_embedder_errors_total", labels) or 0.0


@pytest.mark.parametrize(
    ("coding", "body", "status"),
    [
        pytest.param("gzip", gzip.compress(BODY), 200, id="gzip"),
        pytest.param("identity", BODY, 200, id="none"),
        pytest.param("gzip", BODY, 400, id="no gzip"),
        pytest.param("gzip", gzip.compress(BODY)[:-5], 400, id="gzip that is cut off"),
        pytest.param("deflate", BODY, 400, id="no deflate"),
        pytest.param("br", BODY, 400, id="brotli"),
        pytest.param("zstd", BODY, 400, id="zstandard"),
        pytest.param("unheard-of", BODY, 400, id="a coding that nobody knows"),
    ],
)
async def test_a_body_must_be_in_the_coding_that_it_names(
    coding: str, body: bytes, status: int, minilm: LoadedModel
) -> None:
    before = faults()
    async with serving(FREE, ready(minilm)) as running, httpx.AsyncClient() as client:
        url = f"http://{running.http_address}/v1/embeddings"
        answer = await client.post(url, content=body, headers={"Content-Encoding": coding})
    assert (answer.status_code, "error" in answer.json()) == (status, status != 200)
    assert faults() == before


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param({"dimensions": 385}, "dimensions: must be at most 384, not 385", id="dimensions"),
        pytest.param({"input": ["a"] * 4}, "input: must hold at most 3 texts, not 4", id="input"),
    ],
)
async def test_a_field_is_named_as_its_caller_wrote_it(
    fields: dict[str, Any], message: str, minilm: LoadedModel
) -> None:
    async with serving(FREE, ready(minilm)) as running, http(f"http://{running.http_address}") as (one,):
        answer = await one("POST", "/v1/embeddings", {"model": MINILM, "input": "a"} | fields)
    assert answer.json["error"]["message"] == message


@pytest.mark.parametrize("fields", [{"model": "m" * 10**6}, {"f" * 10**6: 1}])
async def test_a_long_name_is_shortened(fields: dict[str, Any], minilm: LoadedModel) -> None:
    async with serving(FREE, ready(minilm)) as running, httpx.AsyncClient() as client:
        url = f"http://{running.http_address}/v1/embeddings"
        answer = await client.post(url, json={"model": MINILM, "input": "a"} | fields)
    assert answer.status_code in {400, 404}
    assert len(answer.content) < 2_000


async def test_there_is_no_list_of_models_before_they_are_loaded(
    minilm: LoadedModel, unused: Callable[[], int]
) -> None:
    may_load = asyncio.Event()

    async def load(tell: Callable[[bool], None]) -> Any:
        await may_load.wait()
        return await ready(minilm)(tell)

    port, http_port = unused(), unused()
    settings = EmbedderSettings(listen=f"127.0.0.1:{port}", http_listen=f"127.0.0.1:{http_port}")

    async def serve() -> None:
        async with serving(settings, load), httpx.AsyncClient() as client:
            assert (await client.get(f"http://{settings.http_listen}/v1/models")).status_code == 200

    async def look() -> None:
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(retries=5)) as client:
            answer = await client.get(f"http://{settings.http_listen}/v1/models")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        async with EmbedderClient(settings.listen) as ours:
            with pytest.raises(EmbedderUnavailable, match="loading its models"):
                await ours.models()
        may_load.set()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(serve())
        tasks.create_task(look())


@pytest.fixture
def unused(unused_tcp_port_factory: Callable[[], int]) -> Callable[[], int]:
    return unused_tcp_port_factory
