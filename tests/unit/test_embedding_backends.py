import sys
from pathlib import Path

import pytest

from sidecar.embedding.backends import load_backend, parse_model
from sidecar.errors import ConfigurationError, InvalidInput
from sidecar.models.catalogue import shipped_versions


@pytest.mark.parametrize(
    ("spec", "parsed"),
    [
        pytest.param("m@1", ("m@1", "torch"), id="the default back end"),
        pytest.param("m@1/torch", ("m@1", "torch"), id="a named back end"),
        pytest.param("m", ("m", "torch"), id="a bare name"),
    ],
)
def test_parse_model(spec: str, parsed: tuple[str, str]) -> None:
    assert parse_model(spec) == parsed


def test_an_unknown_back_end_is_named_with_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match=r"model: \[m@1/abacus\]: back end \[abacus\] is not known; known: torch"):
        parse_model("m@1/abacus")


def test_a_library_that_is_not_installed_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    version = shipped_versions()["all-minilm-l6-v2@1"]
    with pytest.raises(ConfigurationError, match=r"back end \[torch\] needs the extra \[embedder\]"):
        load_backend("torch", version, Path("nowhere"), threads=1)
