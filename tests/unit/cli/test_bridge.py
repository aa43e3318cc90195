"""`sidecar bridge`: a mistake in its settings is told before it listens."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from sidecar.cli.bridge import bridge
from sidecar.errors import ConfigurationError

app = typer.Typer()
app.command()(bridge)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--config", "none.toml"], "none.toml"),
        (["--listen", "nowhere"], "bridge.listen"),
        (["--embedder", ""], "embedder"),
    ],
)
def test_a_mistake_is_an_error_of_configuration(
    arguments: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    error = CliRunner().invoke(app, arguments).exception

    assert isinstance(error, ConfigurationError)
    assert sentence in str(error)
