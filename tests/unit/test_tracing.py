import subprocess
import sys

import pytest

from sidecar.config import TracingSettings
from sidecar.contract import embedding_pb2 as pb
from sidecar.errors import ConfigurationError
from sidecar.tracing import OFF, tracing

UNUSED = """
import sys
from sidecar.config import TracingSettings
from sidecar.tracing import tracing
with tracing(TracingSettings()):
    pass
print(*sorted(name for name in sys.modules if name.startswith("opentelemetry")))
"""


def test_without_a_receiver_nothing_of_it_is_imported() -> None:
    done = subprocess.run([sys.executable, "-c", UNUSED], check=True, capture_output=True, text=True)
    assert done.stdout == "\n"


def test_without_a_receiver_requests_make_no_spans() -> None:
    with tracing(TracingSettings()) as spans:
        assert spans is OFF
        with spans.called_by([("traceparent", "anything")]), spans.embedding(pb.EmbedRequest()) as answered:
            answered(pb.EmbedReply())


def test_a_missing_extra_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.grpc.trace_exporter", None)
    with (
        pytest.raises(ConfigurationError, match=r"otlp_endpoint needs the extra \[tracing\]"),
        tracing(TracingSettings(otlp_endpoint="http://127.0.0.1:9")),
    ):
        pass
