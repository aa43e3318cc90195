"""Options that several commands share. Options that are settings have their help from `config.py`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sidecar.config import Configuration, describe, load_configuration
from sidecar.telemetry import configure_logging

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document, for scripts.")]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", help="TOML file with settings [default: sidecar.toml, if there]", metavar="FILE"),
]


def command_group(text: str) -> typer.Typer:
    """A group of commands that looks like the others."""
    return typer.Typer(help=text, no_args_is_help=True, rich_markup_mode=None, add_completion=False)


def setting(name: str, flag: str, *, metavar: str | None = None) -> Any:
    """The flag of a setting. If it is not given, environment, file or default decide."""
    return typer.Option(flag, help=describe(name), show_default=False, metavar=metavar)


def configure(file: Path | None, **flags: object) -> Configuration:
    """The configuration under these flags. Logging is set up as it says.

    `bridge__listen=…` is the setting bridge.listen. None means that it is not given.
    """
    given = {name.replace("__", "."): value for name, value in flags.items()}
    configuration = load_configuration(given, file=file)
    configure_logging(configuration.settings.log_level)
    return configuration
