"""`sidecar config show`: every setting, where it comes from, and no secret."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sidecar.cli.config import app


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIDECAR_CLUSTER_PASSWORD", "a secret")
    (tmp_path / "sidecar.toml").write_text('[bridge]\nembedder = "elsewhere:1"\n')


def test_each_setting_has_its_value_and_its_source() -> None:
    shown = json.loads(CliRunner().invoke(app, ["show", "--json"]).stdout)

    assert shown["bridge.embedder"]["value"] == ["elsewhere:1"]
    assert "sidecar.toml" in shown["bridge.embedder"]["source"]
    assert shown["cluster.password"]["source"] != "default"
    assert shown["bridge.listen"]["source"] == "default"


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_secrets_are_hidden(options: list[str]) -> None:
    done = CliRunner().invoke(app, ["show", *options])

    assert done.exit_code == 0
    assert "cluster.password" in done.stdout
    assert "a secret" not in done.stdout
