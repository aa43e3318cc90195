import sys
from pathlib import Path

import pytest

from sidecar.embedding.backends import choose_backend, load_backend, parse_model
from sidecar.errors import ConfigurationError, InvalidInput


@pytest.mark.parametrize(
    ("spec", "parsed"),
    [
        pytest.param("m@1", ("m@1", "auto"), id="the default back end"),
        pytest.param("m@1/torch", ("m@1", "torch"), id="a named back end"),
        pytest.param("m", ("m", "auto"), id="a bare name"),
        pytest.param("m@1/openvino-w8", ("m@1", "openvino-w8"), id="one with a dash"),
    ],
)
def test_parse_model(spec: str, parsed: tuple[str, str]) -> None:
    assert parse_model(spec) == parsed


def test_an_unknown_back_end_is_named_with_the_known_ones() -> None:
    with pytest.raises(
        InvalidInput, match=r"model: \[m@1/abacus\]: back end \[abacus\] is not known; known: auto, torch, "
    ):
        parse_model("m@1/abacus")


@pytest.mark.parametrize(
    ("built", "has_vnni", "chosen"),
    [
        pytest.param((), True, "torch", id="nothing built"),
        pytest.param(("openvino",), True, "openvino", id="float32"),
        pytest.param(("openvino", "openvino-w8"), True, "openvino-w8", id="8-bit weights before float32"),
        pytest.param(("openvino", "openvino-w8"), False, "openvino", id="8-bit weights only where the CPU is quick"),
        pytest.param(("openvino-w8",), False, "torch", id="not slow 8-bit weights"),
        pytest.param(("openvino-int8",), True, "torch", id="8 bits only when asked for"),
    ],
)
def test_choose_backend(built: tuple[str, ...], has_vnni: bool, chosen: str) -> None:
    assert choose_backend(built, has_vnni=has_vnni) == chosen


def test_a_library_that_is_not_installed_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ConfigurationError, match=r"back end \[torch\] needs the extra \[embedder\]"):
        load_backend("torch", Path("nowhere"), max_tokens=256, pad_id=0, threads=1)
