"""`sidecar model build`: what cannot be built is told first."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sidecar.cli.model import app
from sidecar.embedding.loading.building import build
from sidecar.errors import InvalidInput
from sidecar.models.store import ModelStore
from tests.support.built import MINILM, TEXTS

# One after the other: two of these at once leave neither the processor that its time limits count on.
pytestmark = pytest.mark.xdist_group("whole machine")


def run(models: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, env={"SIDECAR_MODELS_DIR": str(models)}, catch_exceptions=False)


@pytest.mark.parametrize(
    ("backend", "texts", "problem"),
    [
        pytest.param("torch", TEXTS, r"backend: \[torch\] is not one that is built", id="back end"),
        pytest.param("openvino", TEXTS[:40], "texts: must be more than 40, better 340, not 40", id="texts"),
    ],
)
def test_what_cannot_be_built_is_told_first(backend: str, texts: list[str], problem: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=problem):
        build(MINILM, backend, ModelStore(tmp_path), texts=texts, report=pytest.fail)


def test_a_file_of_texts_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"texts: .*no-file cannot be read"):
        run(tmp_path, "build", MINILM, "--texts", str(tmp_path / "no-file"))
