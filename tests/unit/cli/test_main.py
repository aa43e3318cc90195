import subprocess
import sys

import pytest
import typer

from sidecar.cli.main import _COMMANDS, app

HEAVY = {"numpy", "grpc", "torch", "aiohttp"}


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("import sidecar", id="the package"),
        pytest.param(
            "import typer.testing, sidecar.cli.main as m\n"
            "done = typer.testing.CliRunner().invoke(m.app, ['--help'])\n"
            "assert 'embedder' in done.stdout, done.output",
            id="sidecar --help",
        ),
    ],
)
def test_nothing_heavy_is_imported(code: str) -> None:
    asked = f"{code}\nimport sys\nprint(*sorted({HEAVY!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", asked], check=True, capture_output=True, text=True)
    assert done.stdout == "\n"


@pytest.mark.parametrize("name", _COMMANDS)
def test_the_list_of_commands_says_what_their_help_says(name: str) -> None:
    group = typer.main.get_command(app)
    command = group.get_command(None, name)  # type: ignore[attr-defined]
    assert command.get_short_help_str(limit=1_000) == _COMMANDS[name][2]
