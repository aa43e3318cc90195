"""The embeddings API of OpenAI with the real MiniLM: what the official client and LangChain see."""

import asyncio
import base64
import json
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from numpy.typing import NDArray

from sidecar.config import EmbedderSettings
from sidecar.embedding.loading.models import LoadedModel
from sidecar.embedding.server import serving
from sidecar.embedding.service import EmbeddingService, ServerState
from sidecar.model import Prompts, Role
from sidecar.ports import Lane
from sidecar.rpc import EmbedderClient
from sidecar.telemetry import EMBEDDER_TEXTS
from tests.support.computing import Double, InThread, backend_of, ready
from tests.support.http import Http, http

MINILM = "all-minilm-l6-v2@1"
TEXTS = ["hello world", "Ein Satz mit äöü and 漢字 and 🙂", "hello world"]


@asynccontextmanager
async def server(*models: LoadedModel, **settings: Any) -> AsyncIterator[tuple[Http, str]]:
    """A client of the HTTP listener, and the address of gRPC."""
    free = {"listen": "127.0.0.1:0", "http_listen": "127.0.0.1:0"}
    async with (
        serving(EmbedderSettings(**{**free, **settings}), ready(*models)) as running,
        http(f"http://{running.http_address}") as (one,),
    ):
        yield one, running.address


@asynccontextmanager
async def official(url: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        yield client


class HeldBackend(Double):
    """A real back end that computes when it is let."""

    name = "torch"
    deterministic = False
    bucket_tokens = 0

    def __init__(self, loaded: LoadedModel) -> None:
        self._backend = backend_of(loaded)
        self.entered = threading.Semaphore(0)
        self.may_go_on = threading.Event()
        self.spoilt = False

    def compute(self, batch: Sequence[NDArray[np.int32]]) -> NDArray[np.float32]:
        self.entered.release()
        assert self.may_go_on.wait(20)
        return np.zeros((len(batch), 384), np.float32) if self.spoilt else self._backend.compute(batch)


async def test_the_official_client_gets_the_vectors_that_grpc_gives(minilm: LoadedModel) -> None:
    async with server(minilm) as (one, address), official(one.url) as client, EmbedderClient(address) as ours:
        expected = await ours.encode(TEXTS, Role.PASSAGE, model=MINILM)
        packed = await client.embeddings.create(model=MINILM, input=TEXTS)  # the client asks for base64 by itself
        plain = await client.embeddings.create(model=MINILM, input=TEXTS, encoding_format="float", user="somebody")
        single = await client.embeddings.create(model="all-minilm-l6-v2", input=TEXTS[0])
        named = await client.embeddings.create(model=MINILM, input="a", extra_headers={"X-Request-ID": "mine"})
    for answer in (packed, plain):
        np.testing.assert_allclose([entry.embedding for entry in answer.data], expected, atol=1e-6)
        assert [entry.index for entry in answer.data] == [0, 1, 2]
        assert answer.usage.prompt_tokens == answer.usage.total_tokens > 12
    assert (named._request_id, len(single._request_id or "")) == ("mine", 32)
    np.testing.assert_allclose(single.data[0].embedding, expected[0], atol=1e-6)
    assert (single.model, single.usage.prompt_tokens) == (MINILM, 4)
    assert single.model_extra == {"space": minilm.version.space, "backend": "openvino-w8"}


async def test_float_and_base64_are_the_same_numbers(minilm: LoadedModel) -> None:
    async with server(minilm) as (one, _):
        plain = await one("POST", "/v1/embeddings", {"model": MINILM, "input": "a", "encoding_format": "float"})
        packed = await one("POST", "/v1/embeddings", {"model": MINILM, "input": "a", "encoding_format": "base64"})
    floats = np.array(plain.json["data"][0]["embedding"], np.float32)
    unpacked = np.frombuffer(base64.b64decode(packed.json["data"][0]["embedding"]), "<f4")
    np.testing.assert_array_equal(floats, unpacked)


async def test_dimensions_are_cut_and_normalised_again(minilm: LoadedModel) -> None:
    async with server(minilm) as (one, _), official(one.url) as client:
        whole = await client.embeddings.create(model=MINILM, input="a")
        cut = await client.embeddings.create(model=MINILM, input="a", dimensions=64)
        with pytest.raises(openai.BadRequestError) as refused:
            await client.embeddings.create(model=MINILM, input="a", dimensions=512)
    first = np.array(whole.data[0].embedding[:64])
    np.testing.assert_allclose(cut.data[0].embedding, first / np.linalg.norm(first), atol=1e-6)
    assert cut.space != whole.space  # type: ignore[attr-defined]
    assert refused.value.param == "dimensions"


async def test_langchain_works_unmodified(minilm: LoadedModel) -> None:
    from langchain_openai import OpenAIEmbeddings

    async with server(minilm) as (one, address), EmbedderClient(address) as ours, httpx.AsyncClient() as connections:
        embeddings = OpenAIEmbeddings(  # type: ignore[call-arg]
            model=MINILM,
            base_url=f"{one.url}/v1",
            api_key="none",
            check_embedding_ctx_length=False,
            http_async_client=connections,  # which it would not close itself
        )
        documents = await embeddings.aembed_documents(TEXTS)
        query = await embeddings.aembed_query(TEXTS[0])
        expected = await ours.encode(TEXTS, Role.PASSAGE, model=MINILM)
    np.testing.assert_allclose(documents, expected, atol=1e-6)
    np.testing.assert_allclose(query, expected[0], atol=1e-6)


async def test_token_ids_are_those_of_the_models_own_tokenizer(minilm: LoadedModel) -> None:
    async with server(minilm) as (one, _), official(one.url) as client:
        text = await client.embeddings.create(model=MINILM, input="hello world")
        one_text = await client.embeddings.create(model=MINILM, input=[101, 7592, 2088, 102])
        several = await client.embeddings.create(model=MINILM, input=[[101, 7592, 2088, 102]] * 2)
        with pytest.raises(openai.BadRequestError, match="must be token ids of the tokenizer of") as refused:
            await client.embeddings.create(model=MINILM, input=[[101, 7592, 102], [15339, 1917]])  # of cl100k_base
    for answer in (one_text, several):
        for entry in answer.data:
            np.testing.assert_allclose(entry.embedding, text.data[0].embedding, atol=1e-6)
    assert refused.value.param == "input[1]"


async def test_a_long_text_is_cut_openly_or_refused(minilm: LoadedModel) -> None:
    long = ["short", "word " * 300]
    async with server(minilm) as (one, _):
        cut = (await one("POST", "/v1/embeddings", {"model": MINILM, "input": long})).json
        refused = await one("POST", "/v1/embeddings", {"model": MINILM, "input": long, "truncate": False})
    assert "truncated" not in cut["data"][0]
    assert (cut["data"][1]["truncated"], cut["data"][1]["tokens_dropped"]) == (True, 46)
    assert refused.status == 400
    assert refused.json["error"]["param"] == "input[1]"


async def test_the_models_that_are_loaded(minilm: LoadedModel) -> None:
    async with server(minilm) as (one, _), official(one.url) as client:
        listed = [model async for model in client.models.list()]
        found = await client.models.retrieve("all-minilm-l6-v2")
        with pytest.raises(openai.NotFoundError) as missing:
            await client.models.retrieve("no")
    assert [model.id for model in listed] == [MINILM] == [found.id]
    assert found.space == minilm.version.space  # type: ignore[attr-defined]
    assert missing.value.code == "model_not_found"


async def test_input_type_is_the_role(minilm: LoadedModel) -> None:
    version = minilm.version.model_copy(update={"prompts": Prompts(query="query: ", passage="passage: ")})
    async with server(replace(minilm, version=version)) as (one, _), official(one.url) as client:

        async def embed(text: str, **extra: str) -> list[float]:
            return (await client.embeddings.create(model=MINILM, input=text, extra_body=extra)).data[0].embedding

        with pytest.raises(openai.BadRequestError) as refused:
            await embed("a")
        query, passage, document = [
            await embed("a", input_type=input_type) for input_type in ("query", "passage", "document")
        ]
    assert refused.value.param == "input_type"
    assert document == passage != query


@pytest.mark.parametrize(
    ("headers", "texts", "lane"),
    [
        pytest.param({}, ["a"], "interactive", id="one text"),
        pytest.param({}, ["a", "b"], "bulk", id="several"),
        pytest.param({"X_Sidecar_Lane": "bulk"}, ["a"], "bulk", id="one text of a load"),
        pytest.param({"X_Sidecar_Lane": "Interactive"}, ["a", "b"], "interactive", id="several of a query"),
    ],
)
async def test_the_lane(minilm: LoadedModel, headers: dict[str, str], texts: list[str], lane: str) -> None:
    counted = EMBEDDER_TEXTS.labels(MINILM, Lane(lane), "ok")._value
    async with server(minilm) as (one, _):
        before = counted.get()
        assert (await one("POST", "/v1/embeddings", {"model": MINILM, "input": texts}, **headers)).status == 200
        assert counted.get() == before + len(texts)


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        pytest.param({"model": MINILM, "input": ["a", "b", "c", ""]}, 400, "input[3]", id="an empty text"),
        pytest.param({"model": MINILM, "input": ["a"] * 5}, 400, "input", id="too many texts"),
        pytest.param({"model": "no@1", "input": "a"}, 404, "model", id="unknown model"),
        pytest.param({"model": MINILM, "input": "a" * 20_000}, 413, None, id="too large"),
        pytest.param({"model": MINILM, "input": "a", "input_typ": "query"}, 400, "input_typ", id="unknown field"),
        pytest.param(b'{"model": NaN}', 400, "body", id="not JSON"),
    ],
)
async def test_refusals_are_of_the_whole_request(minilm: LoadedModel, body: object, status: int, param: str) -> None:
    async with server(minilm, max_texts=4, max_message_bytes=10_000) as (one, _):
        answer = await one("POST", "/v1/embeddings", body)
    assert answer.status == status
    assert answer.json["error"]["param"] == param
    assert answer.json["error"]["type"] == "invalid_request_error"


async def test_paths_and_methods_that_are_not_served(minilm: LoadedModel) -> None:
    async with server(minilm) as (one, _):
        missing = await one("GET", "/v1/completions")
        method = await one("GET", "/v1/embeddings")
    assert (missing.status, missing.json["error"]["code"]) == (404, "not_found")
    assert (method.status, method.headers["Allow"]) == (405, "POST")


async def test_a_lone_surrogate_is_embedded_as_a_question_mark(minilm: LoadedModel) -> None:
    body = json.dumps({"model": MINILM, "input": ["lone \ud800 one", "lone ? one"]}).encode()
    async with server(minilm) as (one, _):
        data = (await one("POST", "/v1/embeddings", body)).json["data"]
    assert data[0]["embedding"] == data[1]["embedding"]


async def test_loading_and_draining_are_503(monkeypatch: pytest.MonkeyPatch, minilm: LoadedModel) -> None:
    async with server(minilm) as (one, _), official(one.url) as client:
        for state in (ServerState.LOADING, ServerState.DRAINING):
            with monkeypatch.context() as patched:
                patched.setattr(
                    EmbeddingService, "state", property(lambda _, state=state: state, lambda *_: None), raising=False
                )
                with pytest.raises(openai.InternalServerError) as refused:
                    await client.embeddings.create(model=MINILM, input="a")
            assert (refused.value.status_code, refused.value.response.headers["Retry-After"]) == (503, "1")


async def test_a_full_queue_is_429_and_a_caller_that_hangs_up_leaves_it(minilm: LoadedModel) -> None:
    backend = HeldBackend(minilm)
    async with (
        server(replace(minilm, backend=InThread(backend)), max_queue_tokens=8) as (one, _),
        official(one.url) as client,
        asyncio.TaskGroup() as group,
    ):

        def ask(text: str) -> asyncio.Task[Any]:
            return group.create_task(client.embeddings.create(model=MINILM, input=text))

        ask("in work")
        assert await asyncio.to_thread(backend.entered.acquire, timeout=20)
        waiting = ask("one two three four")
        await asyncio.sleep(0.2)  # let it reach the queue
        with pytest.raises(openai.RateLimitError) as refused:
            await client.embeddings.create(model=MINILM, input="five six seven")
        assert int(refused.value.response.headers["Retry-After"]) >= 1
        waiting.cancel()
        await asyncio.sleep(0.2)  # let the server notice
        ask("five six seven")
        await asyncio.sleep(0.1)
        backend.may_go_on.set()


async def test_no_vector_is_an_error_of_the_server_and_never_nan(minilm: LoadedModel) -> None:
    backend = HeldBackend(minilm)
    backend.spoilt = True
    backend.may_go_on.set()
    async with server(replace(minilm, backend=InThread(backend))) as (one, _):
        answer = await one("POST", "/v1/embeddings", {"model": MINILM, "input": ["a", "b"]})
    assert answer.status == 500
    assert answer.json["error"] == {
        "message": "input[0]: the model gave no usable vector", "type": "server_error", "param": "input[0]", "code": None,
    }  # fmt: skip


async def test_a_fault_of_the_server_is_answered_and_logged(
    monkeypatch: pytest.MonkeyPatch, minilm: LoadedModel
) -> None:
    from structlog.testing import capture_logs

    async with server(minilm) as (one, _):
        monkeypatch.setattr(EmbeddingService, "models", lambda _: 1 / 0)
        with capture_logs() as logs:
            answer = await one("GET", "/v1/models")
    assert (answer.status, answer.json["error"]["type"]) == (500, "server_error")
    assert [line["action"] for line in logs if line["log_level"] == "error"] == ["request_failed"]
