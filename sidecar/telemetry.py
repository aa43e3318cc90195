"""Log set-up and metrics. Every module logs through `logger`, and only a command calls `configure_logging`."""

import logging
import sys
from typing import Any, Final, TypeVar

import structlog
from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

_LONGEST_LINE: Final = 4_096


def configure_logging(level: str) -> None:
    """Write to stderr: JSON objects, one a line, which escape control characters, or readable lines on a terminal.

    Values that are longer than 4 KiB are cut. The log of libraries becomes lines of ours.
    """
    rendering: list[structlog.typing.Processor] = [
        structlog.processors.format_exc_info,
        _cut,
        structlog.processors.JSONRenderer(),
    ]
    if sys.stderr.isatty():
        # Its own tracebacks show local variables, which are texts of clients, and take minutes for a deep document.
        rendering = [_cut, structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *rendering,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        # The present stderr, which tests replace. A line and its end are one write, so that both or none are lost.
        logger_factory=lambda *_: structlog.WriteLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.captureWarnings(capture=True)
    root = logging.getLogger()
    root.handlers = [one for one in root.handlers if not isinstance(one, _Forward)] + [_Forward(logging.WARNING)]


class _Forward(logging.Handler):
    """Writes what libraries log to our log, so that no line of it is anything but JSON."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log it with its traceback."""
        write = _log.error if record.levelno >= logging.ERROR else _log.warning
        write(
            "a library says",
            action="library_says",
            library=record.name,
            reason=record.getMessage(),
            exc_info=record.exc_info,
        )


def _cut(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return {
        k: v[:_LONGEST_LINE] + "…" if isinstance(v, str) and len(v) > _LONGEST_LINE else v for k, v in event.items()
    }


def logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """The logger of a module. Events are short sentences, and `action` is the stable name to search for."""
    bound: structlog.typing.FilteringBoundLogger = structlog.get_logger(component=name)
    return bound


_log: Final = logger("telemetry")


def exposition() -> tuple[bytes, str]:
    """Every metric of this process in Prometheus' text format, and its content type."""
    return generate_latest(REGISTRY), CONTENT_TYPE_LATEST


_Metric = TypeVar("_Metric", Counter, Gauge, Histogram)

_series: dict[tuple[object, ...], Any] = {}


def series(metric: _Metric, *labels: str) -> _Metric:
    """One series of a metric, kept from call to call, because `labels()` checks and spells the values each time."""
    key = (metric, *labels)
    if key not in _series:
        _series[key] = metric.labels(*labels)
    found: _Metric = _series[key]
    return found


_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

# The values of labels come from closed sets, so that no client can grow the number of series.
BRIDGE_REQUESTS = Counter("sidecar_bridge_requests_total", "Requests answered", ("route", "status_class"))
BRIDGE_SECONDS = Histogram(
    "sidecar_bridge_request_seconds", "From the head read to the answer sent", ("route",), buckets=_SECONDS
)
BRIDGE_TEXTS = Counter("sidecar_bridge_ingest_texts_total", "Source texts of written documents", ("outcome",))
BRIDGE_SEARCHES = Counter("sidecar_bridge_searches_total", "Searches by what was done with them", ("mode", "reason"))
BRIDGE_QUERY_VECTORS = Counter(
    "sidecar_bridge_query_vectors_total", "Vectors of searched texts: kept, or asked for", ("source",)
)
EMBEDDER_REQUESTS = Counter("sidecar_embedder_requests_total", "Requests by how they ended", ("protocol", "status"))
EMBEDDER_ERRORS = Counter(
    "sidecar_embedder_errors_total", "Requests refused, and texts that have no vector, by why", ("of", "kind")
)
EMBEDDER_TEXTS = Counter("sidecar_embedder_texts_total", "Texts asked for", ("model", "lane", "outcome"))
EMBEDDER_TOKENS = Counter(
    "sidecar_embedder_tokens_total", "Tokens of texts, padding and cut-off ends", ("model", "kind")
)
EMBEDDER_SECONDS = Histogram(
    "sidecar_embedder_seconds", "Where the time goes", ("model", "lane", "stage"), buckets=_SECONDS
)
EMBEDDER_BATCH_TEXTS = Histogram(
    "sidecar_embedder_batch_texts", "Texts computed together", ("model", "lane"), buckets=(1, 2, 4, 8, 16, 32, 64, 128)
)
EMBEDDER_CACHE = Counter(
    "sidecar_embedder_cache_total", "Distinct texts looked up: found in memory, on disk, or not", ("model", "outcome")
)
EMBEDDER_WORKER_STARTS = Counter(
    "sidecar_embedder_worker_starts_total", "Processes started to compute: 1, if none ended"
)
EMBEDDER_CACHE_BYTES = Gauge("sidecar_embedder_cache_bytes", "Bytes of cached vectors", ("store",))
EMBEDDER_REPLICA_OPEN = Gauge(
    "sidecar_embedder_replica_open", "1: the client sends no calls to this replica", ("replica",)
)
