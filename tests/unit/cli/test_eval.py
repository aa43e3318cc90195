"""`sidecar eval`: a data set that cannot be read is told before anything is indexed."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from sidecar.cli.eval import evaluate
from sidecar.errors import SidecarError


def test_a_folder_that_is_no_data_set_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    app = typer.Typer()
    app.command()(evaluate)
    error = CliRunner().invoke(app, [str(tmp_path / "none")]).exception

    assert isinstance(error, SidecarError)
    assert str(tmp_path / "none") in str(error)
