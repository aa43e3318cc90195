"""What is logged and measured, in a form that cannot be forged or grow without bound."""

import json
import logging
import sys
import warnings

import pytest
import structlog

from sidecar.telemetry import configure_logging, exposition, logger


@pytest.fixture(autouse=True)
def restored() -> object:
    handlers = logging.getLogger().handlers[:]
    yield
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    logging.getLogger().handlers[:] = handlers


def test_a_log_line_is_one_json_object_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info")

    logger("test").info("it happened", action="happened", path="a\r\nb\x1b[1m")

    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "\x1b" not in err
    assert json.loads(err) | {"timestamp": ""} == {
        "event": "it happened", "action": "happened", "path": "a\r\nb\x1b[1m", "component": "test", "level": "info",
        "timestamp": "",
    }  # fmt: skip


def test_long_values_are_cut_and_lesser_levels_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("warning")

    logger("test").info("nothing")
    logger("test").warning("long", value="x" * 100_000)

    assert len(capsys.readouterr().err) < 5_000


def test_a_traceback_on_a_terminal_shows_no_local_variable(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    configure_logging("info")

    try:
        fail("of a " + "client")
    except ValueError:
        logger("test").exception("it failed", action="failed")

    shown = capsys.readouterr().err
    assert "ValueError: its own words" in shown
    assert "of a client" not in shown


def fail(_text: str) -> None:
    raise ValueError("its own words")


def test_what_a_library_logs_or_warns_of_is_a_line_of_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info")
    configure_logging("info")  # a second time changes nothing

    try:
        fail("")
    except ValueError:
        logging.getLogger("some.library").exception("it %s", "failed")
    logging.getLogger("some.library").info("chatter")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("soon gone", DeprecationWarning, stacklevel=1)

    failed, warned = map(json.loads, capsys.readouterr().err.splitlines())
    assert (failed["action"], failed["library"], failed["reason"]) == ("library_says", "some.library", "it failed")
    assert failed["level"] == "error"
    assert "ValueError: its own words" in failed["exception"]
    assert (warned["library"], warned["level"]) == ("py.warnings", "warning")
    assert "soon gone" in warned["reason"]


def test_metrics_are_in_prometheus_format() -> None:
    body, content_type = exposition()

    assert b"# TYPE sidecar_bridge_requests_total counter" in body
    assert content_type.startswith("text/plain")
