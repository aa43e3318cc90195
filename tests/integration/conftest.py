"""What is dear to make and shared: MiniLM with 8-bit weights."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sidecar.cli.model import app

MINILM = "all-minilm-l6-v2@1"
TEXTS = [f"Passage {number} says that {number * 7} is a number." * (1 + number % 5) for number in range(60)]


@pytest.fixture(scope="session")
def w8_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models.dir in which MiniLM is built for openvino-w8, by the command."""
    models = tmp_path_factory.mktemp("models")
    texts = models / "texts.txt"
    texts.write_text("\n".join(TEXTS) + "\n\n")
    build = ["build", "all-minilm-l6-v2", "--backend", "openvino-w8", "--texts", str(texts), "--json"]
    done = CliRunner().invoke(app, build, env={"SIDECAR_MODELS_DIR": str(models)}, catch_exceptions=False)
    built = json.loads(done.stdout)
    assert (built["model"], built["backend"], built["distance"]["texts"]) == (MINILM, "openvino-w8", 40)
    assert 0.99 < built["distance"]["cosine_min"] < built["distance"]["cosine_mean"] < 1
    assert {"openvino", "nncf", "torch"} <= built["tools"].keys()
    assert "compressing the weights" in done.stderr
    return models
