"""What no caller can do to the embedding server: odd texts, large messages, slow readers, calls without end."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import structlog
from google.rpc import code_pb2, error_details_pb2
from grpc_status import rpc_status
from numpy.typing import NDArray
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from sidecar import connections
from sidecar.config import EmbedderSettings
from sidecar.contract import embedding_pb2 as pb
from sidecar.contract import embedding_pb2_grpc
from sidecar.embedding import server as embedder_server
from sidecar.embedding.loading.models import LoadedModel
from sidecar.embedding.server import serving
from sidecar.embedding.service import EmbeddingService
from sidecar.telemetry import configure_logging
from tests.support.computing import Double, InThread, ready
from tests.support.http import Http, http
from tests.support.http2 import Caller
from tests.support.waiting import PATIENCE_S, until

MINILM = "all-minilm-l6-v2@1"
ROW_BYTES = 384 * 4
_THIS_FILE = Path(__file__).read_text("utf-8")

# Each with whether it has a vector. A secret word in each tells it from what a log may hold.
ODD: tuple[tuple[str, bool], ...] = (
    ("", False),
    ("zyzzyva", True),
    ("zyzzyva" + "a" * 1_000_000, True),
    ("zyzzyva \x00 nul", True),
    ("zyzzyva" + "".join(map(chr, range(32))) + "\x7f\x80\u2028\ufeff", True),
    (" " * 10_000, True),
    ("zyzzyva" + "\U0001f642" * 20_000, True),
    ("zyzzyva" + "e" + "\u0301" * 5_000, True),
    ("\u202ezyzzyva\u202c \U000e0001", True),
    ("", False),
    ("zyzzyva", True),
)


class HeldBackend(Double):
    """The real back end, which computes when it is let, and counts what it computes."""

    name = "torch"
    deterministic = False
    bucket_tokens = 0

    def __init__(self, loaded: LoadedModel) -> None:
        self._backend = loaded.backend.backend  # type: ignore[attr-defined]
        self.texts = 0
        self.entered = threading.Semaphore(0)
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def compute(self, batch: Sequence[NDArray[np.int32]]) -> NDArray[np.float32]:
        self.texts += len(batch)
        self.entered.release()
        assert self.may_go_on.wait(2 * PATIENCE_S)
        pooled: NDArray[np.float32] = self._backend.compute(batch)
        return pooled

    async def busy(self) -> None:
        """Wait until a batch is being computed."""
        assert await asyncio.to_thread(self.entered.acquire, timeout=PATIENCE_S)


@dataclass(frozen=True, slots=True)
class Server:
    embedder: Any
    http: Http
    backend: HeldBackend
    services: list[EmbeddingService]
    address: str


@pytest.fixture
def run(minilm: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    @asynccontextmanager
    async def run(**options: Any) -> AsyncIterator[Server]:
        settings = EmbedderSettings(**{"listen": "127.0.0.1:0", "http_listen": "127.0.0.1:0", **options})
        services: list[EmbeddingService] = []

        def service(**given: Any) -> EmbeddingService:
            services.append(EmbeddingService(**given))
            return services[0]

        monkeypatch.setattr(embedder_server, "EmbeddingService", service)
        backend = HeldBackend(minilm)
        unlimited = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
        async with (
            serving(settings, ready(replace(minilm, backend=InThread(backend)))) as running,
            grpc.aio.insecure_channel(running.address, options=unlimited) as channel,
            http(f"http://{running.http_address}") as (one,),
        ):
            yield Server(embedding_pb2_grpc.EmbedderStub(channel), one, backend, services, running.address)

    return run


def request(*texts: str, **options: Any) -> pb.EmbedRequest:
    return pb.EmbedRequest(model=MINILM, texts=texts, **options)


def body(*texts: str, **options: Any) -> dict[str, Any]:
    return {"model": MINILM, "input": list(texts), "encoding_format": "base64", **options}


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"sidecar_embedder_{name}", labels) or 0.0


async def refused(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as found:
        await call
    return found.value


def retry_info(error: grpc.aio.AioRpcError) -> error_details_pb2.RetryInfo | None:
    rich = rpc_status.from_call(error)
    retry = error_details_pb2.RetryInfo()
    return retry if rich is not None and any(detail.Unpack(retry) for detail in rich.details) else None


async def test_odd_texts_over_grpc_fail_alone_and_keep_their_order(run: Any) -> None:
    texts = [text for text, _ in ODD]
    async with run() as one:
        alone = await one.embedder.Embed(request("zyzzyva", cache=pb.CACHE_POLICY_BYPASS))
        for on_too_long in (pb.ON_TOO_LONG_TRUNCATE_END, pb.ON_TOO_LONG_CHUNK):
            reply = await one.embedder.Embed(request(*texts, on_too_long=on_too_long))
            assert [item.row >= 0 for item in reply.items] == [has_vector for _, has_vector in ODD]
            assert {item.error.code for item in reply.items if item.row < 0} == {code_pb2.INVALID_ARGUMENT}
            matrix = np.frombuffer(reply.matrix, "<f4").reshape(-1, 384)
            for position in (1, 10):
                vector = matrix[reply.items[position].row]
                assert vector @ np.frombuffer(alone.matrix, "<f4") == pytest.approx(1, abs=1e-5)
        stream = one.embedder.EmbedStream(iter([request(text, request_id=str(n)) for n, text in enumerate(texts)]))
        answered = [(reply.reply.request_id, reply.reply.items[0].row >= 0) async for reply in stream]
    assert answered == [(str(n), has_vector) for n, (_, has_vector) in enumerate(ODD)]


async def test_odd_texts_over_http(run: Any) -> None:
    texts = [text for text, has_vector in ODD if has_vector]
    surrogates = ["\ud800", "\udfff\ud800", "a\udc00b"]
    async with run() as one:
        answer = await one.http("POST", "/v1/embeddings", body(*texts, *surrogates))
        empty = await one.http("POST", "/v1/embeddings", body("a", ""))
    assert answer.status == 200
    assert [entry["index"] for entry in answer.json["data"]] == list(range(len(texts) + 3))
    assert answer.json["data"][0]["embedding"] == answer.json["data"][len(texts) - 1]["embedding"]
    assert (empty.status, empty.json["error"]["param"]) == (400, "input[1]")


async def test_no_log_holds_a_text(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("debug")
    try:
        async with run(max_texts=20) as one:
            await one.embedder.Embed(request(*(text for text, _ in ODD), request_id="r1"))
            await refused(one.embedder.Embed(request(*["zyzzyva"] * 21)))
            await refused(one.embedder.Embed(request("zyzzyva", dimension=999)))
            for sent in (body("zyzzyva"), body("zyzzyva", ""), body("zyzzyva", encoding_format="zip"), b'{"zyzzyva":'):
                await one.http("POST", "/v1/embeddings", sent)
    finally:
        structlog.reset_defaults()
    log = capsys.readouterr().err
    actions = {json.loads(line)["action"] for line in log.splitlines()}
    assert {"call_refused", "request_refused"} <= actions
    assert "zyzzyva" not in log.lower()


@pytest.mark.parametrize("limit", [pytest.param(20_000, id="small"), pytest.param(33_554_432, id="default")])
async def test_a_request_of_just_the_limit_passes_and_a_byte_more_does_not(limit: int, run: Any) -> None:
    exact = request(*["a" * 14_000] * (limit // 15_000))  # equal texts: only one is tokenised
    exact.texts.append("")
    while exact.ByteSize() != limit:
        exact.texts[-1] = "a" * (len(exact.texts[-1]) + limit - exact.ByteSize())
    document = json.dumps(body("a"))
    padding = limit - len(document)
    async with run(max_message_bytes=limit, max_texts=10_000) as one:
        assert (await one.embedder.Embed(exact)).items[0].row == 0
        exact.texts[-1] += "a"
        error = await refused(one.embedder.Embed(exact))
        fits = await one.http("POST", "/v1/embeddings", (document + " " * padding).encode())
        too_large = await one.http("POST", "/v1/embeddings", (document + " " * (padding + 1)).encode())
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert retry_info(error) is None
    assert str(limit) in (error.details() or "")
    assert (fits.status, too_large.status) == (200, 413)
    assert str(limit) in too_large.json["error"]["message"]


@pytest.mark.parametrize(
    ("texts", "options"),
    [
        pytest.param([f"text {n}" for n in range(20)], {}, id="many texts"),
        pytest.param(["one. " * 4_000], {"on_too_long": pb.ON_TOO_LONG_CHUNK}, id="many parts of one text"),
        pytest.param(["one. " * 300] * 8, {"on_too_long": pb.ON_TOO_LONG_CHUNK}, id="parts told again"),
        pytest.param(["a"], {"request_id": "r" * 25_000}, id="a long request_id"),
    ],
)
async def test_a_reply_beyond_the_limit_is_refused_before_it_is_computed(
    texts: list[str], options: dict[str, Any], run: Any
) -> None:
    async with run(max_message_bytes=26_000) as one:
        error = await refused(one.embedder.Embed(request(*texts, **options)))
        assert one.backend.texts == 0
        passes = await one.embedder.Embed(request(*(f"text {n}" for n in range(12))))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "a reply takes at most 26000 bytes (embedder.max_message_bytes)" in (error.details() or "")
    assert len(passes.matrix) == 12 * ROW_BYTES


async def test_a_huge_text_is_cut_without_reading_all_of_it(run: Any) -> None:
    huge = "word " * 6_000_000  # tokenised whole, it would take more than half a minute of a processor
    async with run() as one:
        started = time.process_time()
        reply = await one.embedder.Embed(request(huge, "word " * 10_000))
        assert time.process_time() - started < 15
    assert [item.tokens for item in reply.items] == [256, 256]
    assert reply.items[1].tokens_dropped == 10_000 - 254
    assert reply.items[0].tokens_dropped > reply.items[1].tokens_dropped
    first, second = np.frombuffer(reply.matrix, "<f4").reshape(-1, 384)
    assert (first == second).all()


async def test_what_tokenize_tells_has_room_in_a_message_or_is_refused(run: Any) -> None:
    asked = pb.TokenizeRequest(model=MINILM, texts=[", " * 2_000] * 3, offsets=True)
    async with run() as one:
        whole = await one.embedder.Tokenize(asked)
    limit = whole.ByteSize()
    assert limit > asked.ByteSize()
    async with run(max_message_bytes=limit) as one:
        assert await one.embedder.Tokenize(asked) == whole
    async with run(max_message_bytes=limit - 1) as one:
        error = await refused(one.embedder.Tokenize(asked))
        asked.offsets = False
        assert [item.tokens for item in (await one.embedder.Tokenize(asked)).items] == [2_002] * 3
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert f"a reply of at most {limit - 1} bytes (embedder.max_message_bytes)" in (error.details() or "")


def request_info(error: grpc.aio.AioRpcError) -> str:
    rich = rpc_status.from_call(error)
    info = error_details_pb2.RequestInfo()
    assert rich is not None
    assert any(detail.Unpack(info) for detail in rich.details)
    return info.request_id


async def test_a_refused_request_is_found_in_the_log_by_its_id(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info")
    try:
        async with run() as one:
            ids = [request_info(await refused(one.embedder.Embed(request(request_id="mine"))))]
            ids += [request_info(await refused(one.embedder.Embed(request())))]
            ids += [request_info(await refused(one.embedder.Embed(request(), metadata=[("x-request-id", "proxy's")])))]
            ids += [request_info(await refused(one.embedder.Tokenize(pb.TokenizeRequest(model="no@1"))))]
            ids += [reply.error.request_id async for reply in one.embedder.EmbedStream(iter([request()]))]
            for headers in ({"X_Request_ID": "over-http"}, {"X_Request_ID": "not sendable"}, {}):
                answer = await one.http("POST", "/v1/embeddings", body("a", ""), **headers)
                ids.append(answer.headers["X-Request-ID"])
            too_long = await refused(one.embedder.Embed(request(request_id="r" * 10_000)))
    finally:
        structlog.reset_defaults()
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [ids[0], ids[2], ids[5]] == ["mine", "proxy's", "over-http"]
    assert all(ids)
    assert len(set(ids)) == len(ids)
    assert [line["request_id"] for line in lines if "refused" in line["action"]] == [*ids, "r" * 128]
    assert request_info(too_long) == "r" * 128


async def test_an_answered_request_has_an_id_too(run: Any) -> None:
    async with run() as one:
        given = await one.embedder.Embed(request("a", request_id="mine"))
        made = await one.embedder.Embed(request("a"))
        [streamed] = [reply.reply async for reply in one.embedder.EmbedStream(iter([request("a")]))]
        answer = await one.http("POST", "/v1/embeddings", body("a"))
    assert given.request_id == "mine"
    assert len({made.request_id, streamed.request_id, answer.headers["X-Request-ID"], ""}) == 4


async def test_a_fault_of_the_server_fails_its_request_alone(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: Any, **__: Any) -> None:
        raise RuntimeError("zyzzyva")

    async with run() as one:
        with capture_logs() as logs, monkeypatch.context() as broken:
            broken.setattr(EmbeddingService, "embed", breaks)
            error = await refused(one.embedder.Embed(request("a", request_id="r1")))
        stream = one.embedder.EmbedStream()
        with monkeypatch.context() as broken:
            broken.setattr(EmbeddingService, "embed", breaks)
            await stream.write(request("a"))
            failed = await stream.read()
        await stream.write(request("a"))
        answered = await stream.read()
        await stream.done_writing()
    assert (error.code(), error.details()) == (
        grpc.StatusCode.INTERNAL, "this is a fault of the server; its log says more",
    )  # fmt: skip
    assert [(line["action"], line["request_id"]) for line in logs if line["log_level"] == "error"] == [
        ("call_failed", "r1")
    ]
    assert (failed.error.code, answered.reply.items[0].row) == (code_pb2.INTERNAL, 0)


async def test_bytes_in_work_are_bounded_for_both_protocols(run: Any) -> None:
    async def pieces(*lengths: int) -> AsyncIterator[bytes]:
        for length in lengths:
            yield b" " * length

    async with run(max_inflight_bytes=10_000) as one, asyncio.TaskGroup() as group:
        one.backend.may_go_on.clear()
        first = group.create_task(asyncio.wait_for(one.embedder.Embed(request("a" * 20_000)), 60))  # alone: it may
        await one.backend.busy()
        error = await refused(one.embedder.Embed(request("b")))
        stream = [reply async for reply in one.embedder.EmbedStream(iter([request("b")]))]
        whole = await one.http("POST", "/v1/embeddings", body("b"))
        async with one.http.session.post(f"{one.http.url}/v1/embeddings", data=pieces(5_000, 6_000)) as chunked:
            assert chunked.status == 429
        assert one.backend.texts == 1
        one.backend.may_go_on.set()
        await first
        assert (await one.http("POST", "/v1/embeddings", body("b"))).status == 200
    retry = retry_info(error)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert retry is not None
    assert retry.retry_delay.seconds == 1
    assert (stream[0].error.code, stream[0].error.retry_after_ms) == (code_pb2.RESOURCE_EXHAUSTED, 1_000)
    assert (whole.status, whole.headers["Retry-After"]) == (429, "1")


async def test_a_deadline_over_http_is_kept_and_its_texts_are_not_computed(run: Any) -> None:
    async with run() as one, asyncio.TaskGroup() as group:
        one.backend.may_go_on.clear()
        first = group.create_task(one.http("POST", "/v1/embeddings", body("first"), X_Sidecar_Timeout_Ms="60000"))
        await one.backend.busy()
        late = await one.http("POST", "/v1/embeddings", body("too late"), X_Sidecar_Timeout_Ms="100")
        wrong = await one.http("POST", "/v1/embeddings", body("wrong"), X_Sidecar_Timeout_Ms="soon")
        one.backend.may_go_on.set()
        assert (await first).status == 200
        assert (await one.http("POST", "/v1/embeddings", body("last"))).status == 200
        assert one.backend.texts == 2
    assert late.status == 504
    assert late.json["error"] == {
        "message": "no answer within 100 ms (X-Sidecar-Timeout-Ms)", "type": "server_error", "param": None, "code": None,
    }  # fmt: skip
    assert (wrong.status, wrong.json["error"]["param"]) == (400, "X-Sidecar-Timeout-Ms")


async def test_ten_thousand_cancelled_calls_cost_no_computing(run: Any) -> None:
    computed = partial(sample, "tokens_total", model=MINILM, kind="computed")
    async with run() as one, asyncio.timeout(5 * PATIENCE_S), asyncio.TaskGroup() as group:
        before = computed()
        one.backend.may_go_on.clear()
        first = group.create_task(asyncio.wait_for(one.embedder.Embed(request("first")), 5 * PATIENCE_S))
        await one.backend.busy()
        for _ in range(20):
            calls = [one.embedder.Embed(request(f"text {number}")) for number in range(500)]
            await in_work(one, 501)
            for call in calls:
                call.cancel()
            await in_work(one, 1)
        one.backend.may_go_on.set()
        await first
        await one.embedder.Embed(request("last"))
        assert one.backend.texts == 2
        assert computed() - before == 3 + 3


async def in_work(one: Server, calls: int) -> None:
    """Wait until the server has so many calls in work: those are in its queue, or about to be."""
    await until(lambda: one.services[0]._in_work == calls)


async def test_who_does_not_read_is_not_worked_for_and_holds_nobody_up(run: Any) -> None:
    answered = partial(sample, "requests_total", protocol="grpc", status="OK")
    texts = [f"text {number}" for number in range(64)]
    async with run() as one, asyncio.timeout(5 * PATIENCE_S), asyncio.TaskGroup() as group:
        before = answered()
        stream = one.embedder.EmbedStream()
        sending = group.create_task(_send(stream, [request(*texts) for _ in range(400)]))
        unchanged, last = 0, -1.0
        while unchanged < 5:  # nothing tells that nothing more happens
            await asyncio.sleep(0.05)
            unchanged, last = (unchanged + 1 if answered() == last else 0), answered()
        assert last - before < 200
        assert (await one.embedder.Embed(request("somebody else"))).items[0].row == 0
        for _ in range(400):
            assert len((await stream.read()).reply.items) == 64
        await sending
        assert await stream.read() is grpc.aio.EOF  # type: ignore[attr-defined]


async def _send(stream: Any, requests: Sequence[pb.EmbedRequest]) -> None:
    for one in requests:
        await stream.write(one)
    await stream.done_writing()


async def test_requests_are_counted_by_protocol_status_and_kind(run: Any) -> None:
    counted = {
        name: partial(sample, name.partition(" ")[0], **labels)
        for name, labels in {
            "requests_total gRPC ok": {"protocol": "grpc", "status": "OK"},
            "requests_total gRPC bad": {"protocol": "grpc", "status": "INVALID_ARGUMENT"},
            "requests_total HTTP ok": {"protocol": "http", "status": "200"},
            "requests_total HTTP bad": {"protocol": "http", "status": "400"},
            "errors_total request": {"of": "request", "kind": "bad_input"},
            "errors_total text": {"of": "text", "kind": "bad_input"},
        }.items()
    }
    async with run() as one:
        before = {name: read() for name, read in counted.items()}
        await one.embedder.Embed(request("a", ""))
        await one.embedder.Tokenize(pb.TokenizeRequest(model=MINILM, texts=["a"]))
        await refused(one.embedder.Embed(request()))
        await one.http("POST", "/v1/embeddings", body("a"))
        await one.http("POST", "/v1/embeddings", body("a", input_type="x"))
        await one.http("GET", "/readyz")
    assert [read() - before[name] for name, read in counted.items()] == [2, 1, 1, 1, 2, 1]


async def test_where_tokens_and_time_go_is_measured(run: Any) -> None:
    of_texts = {"model": MINILM, "lane": "bulk"}
    measured = {
        name: partial(sample, name.partition(" ")[0], **labels)
        for name, labels in {
            **{f"seconds_count {stage}": {**of_texts, "stage": stage} for stage in ("tokenize", "queue", "compute")},
            **{f"tokens_total {kind}": {"model": MINILM, "kind": kind} for kind in ("computed", "padding", "dropped")},
            **{f"cache_total {outcome}": {"model": MINILM, "outcome": outcome} for outcome in ("memory", "miss")},
            "batch_texts_sum": of_texts,
            "texts_total": {**of_texts, "outcome": "ok"},
        }.items()
    }
    async with run() as one:
        before = {name: read() for name, read in measured.items()}
        await one.embedder.Embed(request("one", "one two three", "word " * 300, lane=pb.LANE_BULK))
        await one.embedder.Embed(request("one", lane=pb.LANE_BULK))
    gained = {name: read() - before[name] for name, read in measured.items()}
    assert gained == {
        "seconds_count tokenize": 2, "seconds_count queue": 1, "seconds_count compute": 1,
        "tokens_total computed": 3 + 5 + 256, "tokens_total padding": gained["tokens_total padding"],
        "tokens_total dropped": 46, "cache_total memory": 1, "cache_total miss": 3,
        "batch_texts_sum": 3, "texts_total": 4,
    }  # fmt: skip
    assert gained["tokens_total padding"] >= 0


async def test_a_long_text_in_parts_has_the_vectors_of_the_parts(run: Any) -> None:
    long = _THIS_FILE[:9_000]
    async with run() as one:
        reply = await one.embedder.Embed(
            request(long, "short", "", long, on_too_long=pb.ON_TOO_LONG_CHUNK, encoding=pb.ENCODING_FLOAT32)
        )
        item = reply.items[0]
        parts = [long[chunk.char_start : chunk.char_end] for chunk in item.chunks]
        alone = await one.embedder.Embed(request(*parts))
        computed = one.backend.texts
    assert "".join(parts) == long
    assert len(parts) > 5
    assert item.row == item.chunks[0].row
    assert (item.truncated, item.tokens_dropped, item.tokens) == (False, 0, sum(one.tokens for one in alone.items))
    assert {one.cached for one in alone.items} == {True}  # as if each had been sent alone
    assert computed == len(set(parts)) + 1
    matrix = np.frombuffer(reply.matrix, "<f4").reshape(-1, 384)
    rows = np.frombuffer(alone.matrix, "<f4").reshape(-1, 384)
    for chunk, other in zip(item.chunks, alone.items, strict=True):
        assert (matrix[chunk.row] == rows[other.row]).all()
    assert [(chunk.row, chunk.char_start, chunk.char_end) for chunk in reply.items[1].chunks] == [
        (reply.items[1].row, 0, 5)
    ]
    assert (reply.items[2].row, len(reply.items[2].chunks)) == (-1, 0)
    assert (reply.items[3].deduplicated, list(reply.items[3].chunks)) == (True, list(item.chunks))


@pytest.mark.parametrize("method", ["Embed", "EmbedStream", "Tokenize"])
async def test_a_reply_that_is_not_read_counts_until_its_caller_goes(run: Any, method: str) -> None:
    message: pb.EmbedRequest | pb.TokenizeRequest = request(*(f"text {number}" for number in range(200)))
    if method == "Tokenize":
        message = pb.TokenizeRequest(model=MINILM, texts=["a b c d e f g h i j k l m n"] * 200, offsets=True)
    async with run(max_inflight_bytes=10_000) as one:
        unread = await Caller.of(one.address, window=0)
        unread.call(f"/sidecar.embedding.v1.Embedder/{method}", message.SerializeToString())
        await until(lambda: one.services[0].inflight.bytes > 10_000)
        assert (await one.http("POST", "/v1/embeddings", body("b"))).status == 429
        unread.writer.close()
        await unread.writer.wait_closed()
        await until(lambda: one.services[0].inflight.bytes == 0)
        assert (await one.http("POST", "/v1/embeddings", body("b"))).status == 200


async def test_an_answer_over_http_that_is_not_read_counts_until_its_caller_goes(run: Any) -> None:
    large = body(*["the same"] * 1_000, encoding_format="float")  # too large for the buffers of the system
    content = json.dumps(large).encode()
    async with run(max_inflight_bytes=100_000) as one:
        host, port = one.http.url.removeprefix("http://").split(":")
        with socket.socket() as unread:
            unread.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            unread.connect((host, int(port)))
            head = f"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content)}\r\n\r\n".encode()
            await asyncio.to_thread(unread.sendall, head + content)
            await until(lambda: one.services[0].inflight.bytes > 1_000_000)
            assert (await one.http("POST", "/v1/embeddings", body("b"))).status == 429
        await until(lambda: one.services[0].inflight.bytes == 0)
        assert (await one.http("POST", "/v1/embeddings", body("b"))).status == 200


async def test_bodies_that_do_not_arrive_take_nothing_from_others_and_are_given_up(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Length: 30000000\r\n\r\n{"
    monkeypatch.setattr(connections, "SILENCE_S", 1.0)
    async with run() as one:
        host, port = one.http.url.removeprefix("http://").split(":")
        slow = [await asyncio.open_connection(host, int(port)) for _ in range(12)]
        for _, writer in slow:
            writer.write(head)
        assert (await one.http("POST", "/v1/embeddings", body("b"))).status == 200
        for reader, writer in slow:
            answer = await asyncio.wait_for(reader.read(), PATIENCE_S)
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert b"no byte of the request body came for" in answer
            writer.close()
            await writer.wait_closed()
