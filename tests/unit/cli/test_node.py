"""`sidecar node` where no node has ever been."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sidecar.cli.node import app


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--dir", str(tmp_path / "node")])

    return invoke


def test_status_is_stopped_and_ends_with_1(run) -> None:
    assert (run("status").stdout, run("status").exit_code) == ("stopped\n", 1)
    assert json.loads(run("status", "--json").stdout)["state"] == "stopped"


def test_stop_has_nothing_to_do(run) -> None:
    assert (run("stop").stderr, run("stop").exit_code) == ("no local OpenSearch node is running\n", 0)


def test_path_says_where_it_would_be_and_ends_with_1(run, tmp_path: Path) -> None:
    done = run("path")

    assert done.stdout.startswith(str(tmp_path / "node"))
    assert (done.stderr, done.exit_code) == ("it is not assembled yet\n", 1)
