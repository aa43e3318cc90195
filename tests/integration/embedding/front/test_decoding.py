"""Messages that no method of ours can decode."""

from typing import Any

import grpc
import pytest
from prometheus_client import REGISTRY

from sidecar.config import EmbedderSettings
from sidecar.contract import embedding_pb2 as pb
from sidecar.embedding.loading.models import LoadedModel
from sidecar.embedding.server import serving
from tests.support.computing import ready

MINILM = "all-minilm-l6-v2@1"
SERVICE = "/sidecar.embedding.v1"
RIGHT = pb.EmbedRequest(model=MINILM, texts=["text"]).SerializeToString()
NO_UTF8 = pb.EmbedRequest(model=MINILM).SerializeToString() + b"\x1a\x03a\xff\xfe"
NO_MESSAGE = b"\xff\xff"
FREE = EmbedderSettings(listen="127.0.0.1:0", http_listen="127.0.0.1:0")


def counted() -> tuple[float, ...]:
    samples = (
        ("sidecar_embedder_requests_total", {"protocol": "grpc", "status": "INVALID_ARGUMENT"}),
        ("sidecar_embedder_errors_total", {"of": "request", "kind": "bad_input"}),
        ("sidecar_embedder_errors_total", {"of": "request", "kind": "internal"}),
    )
    return tuple(REGISTRY.get_sample_value(name, labels) or 0.0 for name, labels in samples)


def nameless(message: Any) -> bytes:
    """A message whose model is no UTF-8."""
    return bytes([message.DESCRIPTOR.fields_by_name["model"].number << 3 | 2]) + b"\x02\xff\xfe"


@pytest.mark.parametrize(
    ("method", "body"),
    [
        pytest.param("Embedder/Embed", NO_UTF8, id="a text that is no UTF-8"),
        pytest.param("Embedder/Embed", nameless(pb.EmbedRequest), id="a model that is no UTF-8"),
        pytest.param("Embedder/Embed", NO_MESSAGE, id="no message"),
        pytest.param("Embedder/Tokenize", nameless(pb.TokenizeRequest), id="to count tokens"),
        pytest.param("Embedder/Tokenize", NO_MESSAGE, id="no message to count tokens"),
        pytest.param("Models/Get", nameless(pb.GetModelRequest), id="to get a model"),
        pytest.param("Models/List", NO_MESSAGE, id="to list models"),
    ],
)
async def test_the_caller_is_told_that_its_message_is_wrong(method: str, body: bytes, minilm: LoadedModel) -> None:
    before = counted()
    async with serving(FREE, ready(minilm)) as running, grpc.aio.insecure_channel(running.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await channel.unary_unary(f"{SERVICE}.{method}", None, None)(body)
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "request: is no message of this method" in (refusal.value.details() or "")
    assert [after - was for was, after in zip(before, counted(), strict=True)] == [1, 1, 0]


async def test_a_stream_is_answered_up_to_the_wrong_message(minilm: LoadedModel) -> None:
    async with serving(FREE, ready(minilm)) as running, grpc.aio.insecure_channel(running.address) as channel:
        call = channel.stream_stream(f"{SERVICE}.Embedder/EmbedStream", None, None)(iter([RIGHT, NO_UTF8]))
        assert pb.StreamReply.FromString(await call.read()).reply.model == MINILM
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await call.read()
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
