"""Spans of a real embedding server, as a real OTLP receiver gets them."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as otlp
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from sidecar.contract import embedding_pb2 as pb
from sidecar.contract import embedding_pb2_grpc
from sidecar.errors import ErrorKind
from tests.support.built import MINILM, W8
from tests.support.http import http

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
SECRET = "a text that nobody but the model may see"


class Receiver(trace_service_pb2_grpc.TraceServiceServicer):
    """What came in."""

    def __init__(self) -> None:
        self.exports: list[otlp.ExportTraceServiceRequest] = []

    async def Export(  # noqa: N802 - the name in the contract
        self, request: otlp.ExportTraceServiceRequest, context: Any
    ) -> otlp.ExportTraceServiceResponse:
        self.exports.append(request)
        return otlp.ExportTraceServiceResponse()

    @property
    def spans(self) -> list[Span]:
        resources = [resource for export in self.exports for resource in export.resource_spans]
        return [span for resource in resources for scope in resource.scope_spans for span in scope.spans]


@asynccontextmanager
async def receiver() -> AsyncIterator[tuple[Receiver, str]]:
    server = grpc.aio.server()
    one = Receiver()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(one, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield one, f"http://127.0.0.1:{port}"
    finally:
        await server.stop(None)


@asynccontextmanager
async def embedder(
    endpoint: str, folder: Path, models: Path
) -> AsyncIterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """The ready line of a process that is stopped at the end, and the log that it has written by then."""
    free = ("--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0")
    others = {name: value for name, value in os.environ.items() if not name.startswith(("SIDECAR_", "OTEL_"))}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sidecar.cli.main", "embedder", *free, "--model", W8, "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=folder,
        env={**others, "SIDECAR_TRACING_OTLP_ENDPOINT": endpoint, "SIDECAR_MODELS_DIR": str(models)},
    )
    log: list[dict[str, Any]] = []
    try:
        assert process.stdout is not None
        yield json.loads(await process.stdout.readline()), log
        process.send_signal(signal.SIGTERM)
        _, lines = await process.communicate()
        log += [json.loads(line) for line in lines.splitlines()]
        assert process.returncode == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


def attributes(span: Span) -> dict[str, str | int]:
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


async def test_each_request_is_a_span_of_its_callers_trace_without_any_text(tmp_path: Path, w8_models: Path) -> None:
    async with receiver() as (received, endpoint):
        async with (
            embedder(endpoint, tmp_path, w8_models) as (ready, _),
            grpc.aio.insecure_channel(ready["embedder"]) as channel,
        ):
            stub = embedding_pb2_grpc.EmbedderStub(channel)
            wanted = pb.EmbedRequest(model=MINILM, texts=[SECRET, "word " * 300, ""], lane=pb.LANE_BULK)
            reply = await stub.Embed(wanted, metadata=[("traceparent", TRACEPARENT)])
            async with http(f"http://{ready['http']}") as (one,):
                body = {"model": MINILM, "input": SECRET}
                await one("POST", "/v1/embeddings", body, traceparent=TRACEPARENT)
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.Embed(pb.EmbedRequest(model="no@1", texts=[SECRET]))
        over_grpc, over_http, refused = received.spans  # sent at the latest when the process ends

    for span in (over_grpc, over_http):
        assert (span.name, span.trace_id.hex(), span.parent_span_id.hex()) == ("embed", TRACE, PARENT)
        assert span.end_time_unix_nano > span.start_time_unix_nano
    found = attributes(over_grpc)
    assert found == {
        "sidecar.model": MINILM,
        "sidecar.lane": "LANE_BULK",
        "sidecar.texts": 3,
        "sidecar.backend": "openvino-w8",
        "sidecar.texts_failed": 1,
        "sidecar.tokens": sum(item.tokens for item in reply.items),
        "sidecar.tokens_dropped": 46,
        "sidecar.queue_us": reply.timing.queue_us,
        "sidecar.tokenize_us": reply.timing.tokenize_us,
        "sidecar.compute_us": reply.timing.compute_us,
    }
    assert reply.timing.compute_us > 0
    assert refused.parent_span_id == b""
    assert refused.trace_id.hex() != TRACE
    assert (refused.status.code, attributes(refused)["error.type"]) == (
        Status.STATUS_CODE_ERROR,
        ErrorKind.NOT_FOUND,
    )
    assert all(SECRET.encode() not in export.SerializeToString() for export in received.exports)


async def test_a_receiver_that_is_away_costs_no_request(tmp_path: Path, w8_models: Path) -> None:
    async with embedder("http://127.0.0.1:9", tmp_path, w8_models) as (ready, log):
        async with http(f"http://{ready['http']}") as (one,):
            answer = await one("POST", "/v1/embeddings", {"model": MINILM, "input": "a"})
        assert answer.status == 200
    assert {"embedder_draining", "tracing_problem"} <= {line["action"] for line in log}
