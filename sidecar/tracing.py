"""OpenTelemetry: one span for each request to embed, never with any text. If it is off, it is not even imported."""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Final, TypeAlias

from sidecar import __version__
from sidecar.config import TracingSettings
from sidecar.contract import embedding_pb2 as pb
from sidecar.errors import ConfigurationError, SidecarError
from sidecar.telemetry import logger

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

_EXPORT_TIMEOUT_S: Final = 2.0  # how long the end of the process may wait for a receiver that does not answer

_log = logger("tracing")

OnReply: TypeAlias = Callable[[pb.EmbedReply], None]
Metadata: TypeAlias = Iterable[tuple[str, str | bytes]]


class Tracing:
    """Makes no spans. Its subclass `_Spans` does."""

    def called_by(self, headers: Metadata) -> AbstractContextManager[None]:  # noqa: ARG002
        """Use the caller's trace context (W3C `traceparent`) from HTTP headers or gRPC metadata."""
        return nullcontext()

    def embedding(self, request: pb.EmbedRequest) -> AbstractContextManager[OnReply]:  # noqa: ARG002
        """The span of one request. Call its value with the reply."""
        return nullcontext(_nothing)


class _Spans(Tracing):
    """One span a request."""

    def __init__(self, tracer: "Tracer") -> None:
        self._tracer = tracer

    @contextmanager
    def called_by(self, headers: Metadata) -> Iterator[None]:
        from opentelemetry import context, propagate  # noqa: PLC0415 - an extra

        carrier = {name.lower(): value for name, value in headers if isinstance(value, str)}
        token = context.attach(propagate.extract(carrier))
        try:
            yield
        finally:
            context.detach(token)

    @contextmanager
    def embedding(self, request: pb.EmbedRequest) -> Iterator[OnReply]:
        from opentelemetry.trace import SpanKind, StatusCode  # noqa: PLC0415 - an extra

        asked: dict[str, str | int] = {
            "sidecar.model": request.model,
            "sidecar.lane": pb.Lane.Name(request.lane) if request.lane in pb.Lane.values() else str(request.lane),
            "sidecar.texts": len(request.texts),
        }
        with self._tracer.start_as_current_span(
            "embed",
            kind=SpanKind.SERVER,
            attributes=asked,
            record_exception=False,  # messages and stacks are in the log
            set_status_on_exception=False,
        ) as span:
            try:
                yield lambda reply: span.set_attributes(_measures(reply))
            except BaseException as error:  # including a caller that hangs up
                kind = error.kind.value if isinstance(error, SidecarError) else type(error).__name__
                span.set_attribute("error.type", kind)
                span.set_status(StatusCode.ERROR)
                raise


OFF: Final = Tracing()


@contextmanager
def tracing(settings: TracingSettings) -> Iterator[Tracing]:
    """Make spans as the settings say. When the context ends, the waiting spans are sent.

    If the receiver does not answer, its spans are lost, but no request fails. Raises ConfigurationError if the extra is
    not installed.
    """
    if not settings.otlp_endpoint:
        yield OFF
        return
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError(f"tracing.otlp_endpoint needs the extra [tracing]: {error}") from error
    _log_as_we_do()
    exporter = OTLPSpanExporter(endpoint=settings.otlp_endpoint, timeout=_EXPORT_TIMEOUT_S)
    resource = Resource.create({"service.name": "sidecar-embedder", "service.version": __version__})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    try:
        yield _Spans(provider.get_tracer("sidecar"))
    finally:
        provider.shutdown()


def _nothing(_reply: pb.EmbedReply) -> None:
    """Ignore the reply, since there is no span."""


def _measures(reply: pb.EmbedReply) -> dict[str, str | int]:
    return {
        "sidecar.backend": reply.backend,
        "sidecar.texts_failed": sum(item.row < 0 for item in reply.items),
        "sidecar.tokens": sum(item.tokens for item in reply.items),
        "sidecar.tokens_dropped": sum(item.tokens_dropped for item in reply.items),
        "sidecar.queue_us": reply.timing.queue_us,
        "sidecar.tokenize_us": reply.timing.tokenize_us,
        "sidecar.compute_us": reply.timing.compute_us,
    }


class _Forward(logging.Handler):
    """Writes the lines of the standard library's logging, such as "cannot reach the receiver", to our log."""

    def emit(self, record: logging.LogRecord) -> None:
        _log.warning("OpenTelemetry says", action="tracing_problem", reason=record.getMessage())


def _log_as_we_do() -> None:
    library = logging.getLogger("opentelemetry")
    library.setLevel(logging.WARNING)
    library.propagate = False
    library.handlers = [_Forward()]
