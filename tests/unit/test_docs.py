"""What the documentation says of settings and commands is what the code declares. `--update-golden` writes it anew."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from sidecar.cli.main import app
from sidecar.config import load_configuration, variable
from tests.support.folders import ROOT


def leaves(command: Any, *names: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that does something, with its names; the groups only hold others."""
    if not isinstance(command, TyperGroup):
        yield names, command
        return
    context = typer.Context(command)
    for name in command.list_commands(context):
        yield from leaves(command.get_command(context, name), *names, name)


def check(request: pytest.FixtureRequest, path: Path, text: str) -> None:
    if request.config.getoption("--update-golden"):
        path.write_text(text)
    assert path.read_text() == text


def test_every_setting_is_documented(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in [name for name in os.environ if name.startswith("SIDECAR_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    rows = ["| setting | variable | default | meaning |", "|---|---|---|---|"]
    for setting in load_configuration().explain():
        default = f"`{setting.shown}`" if setting.shown else "empty"
        default = "depends on the machine" if isinstance(setting.value, Path) else default
        rows.append(f"| `{setting.name}` | `{variable(setting.name)}` | {default} | {setting.description} |")
    text = (
        "# Configuration\n\n"
        "Strongest first: command line flag, environment variable, TOML file (`sidecar.toml`, or the one that `--config` or\n"
        "`SIDECAR_CONFIG` names), default. In the file a setting `bridge.listen` stands as `listen` under `[bridge]`.\n"
        "`sidecar config show` prints what is in force, and why.\n\n" + "\n".join(rows) + "\n"
    )
    check(request, ROOT / "docs" / "configuration.md", text)


def test_every_command_has_help_and_is_documented(request: pytest.FixtureRequest) -> None:
    pages = ["# Commands\n\nWhat `sidecar COMMAND --help` prints.\n"]
    for names, command in leaves(get_command(app)):
        assert command.help, f"sidecar {' '.join(names)} says nothing of itself"
        done = CliRunner().invoke(app, [*names, "--help"], prog_name="sidecar", env={"COLUMNS": "100"})
        assert done.exit_code == 0
        pages.append(f"\n## {' '.join(names)}\n\n```text\n{done.stdout.rstrip()}\n```\n")
    check(request, ROOT / "docs" / "commands.md", "".join(pages))


def test_a_command_that_somebody_adds_is_found() -> None:
    group = typer.Typer()
    group.command("show")(lambda: None)
    group.command("frobnicate")(lambda: None)
    app = typer.Typer()
    app.add_typer(group, name="config")
    app.command("up")(lambda: None)

    assert {names for names, _ in leaves(get_command(app))} == {("up",), ("config", "show"), ("config", "frobnicate")}


def test_generated_code_is_up_to_date(tmp_path: Path) -> None:
    generated = ROOT / "sidecar" / "contract"
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", f"-Isidecar/contract={ROOT / 'proto'}", f"--python_out={tmp_path}",
         f"--pyi_out={tmp_path}", f"--grpc_python_out={tmp_path}", "sidecar/contract/embedding.proto"],
        check=True,
    )  # fmt: skip

    for path in sorted((tmp_path / "sidecar/contract").iterdir()):
        assert path.read_text() == (generated / path.name).read_text(), f"run make proto: {path.name} is out of date"
