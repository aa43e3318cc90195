"""The command `sidecar`: the only place where the rooms are joined."""

import sys
from importlib import import_module
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from sidecar import __version__
from sidecar.errors import ErrorKind, SidecarError

USAGE_ERROR: Final = 2
FAILURE: Final = 1

# The caller (or the operator) must change something: 2. What may succeed later as it is: 1.
_EXIT_CODES: Final = {
    ErrorKind.BAD_INPUT: USAGE_ERROR,
    ErrorKind.CONFIGURATION: USAGE_ERROR,
    ErrorKind.NOT_FOUND: USAGE_ERROR,
    ErrorKind.CONFLICT: USAGE_ERROR,
    ErrorKind.TOO_LARGE: USAGE_ERROR,
}

# Command -> module of this package and what stands for the command there: a Typer group or a function.
_COMMANDS: Final = {
    "up": ("up", "up"),
    "demo": ("demo", "demo"),
    "template": ("template", "app"),
    "model": ("model", "app"),
    "embed": ("embed", "embed"),
    "eval": ("eval", "evaluate"),
    "bridge": ("bridge", "bridge"),
    "embedder": ("embedder", "embedder"),
    "node": ("node", "app"),
    "config": ("config", "app"),
}


class _Commands(TyperGroup):
    """Imports a command when it is called: no command waits for the libraries of another."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module, attribute = _COMMANDS[cmd_name]
        found = getattr(import_module(f"sidecar.cli.{module}"), attribute)
        if not isinstance(found, typer.Typer):
            single = typer.Typer(rich_markup_mode=None, add_completion=False)
            single.command(cmd_name)(found)
            found = single
        command = typer.main.get_command(found)
        command.name = cmd_name
        return command


app = typer.Typer(
    name="sidecar",
    cls=_Commands,
    help="Embedding layer for OpenSearch: embedding server, HTTP bridge, index templates for model versions.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sidecar {__version__}")
        raise typer.Exit


@app.callback()
def root(
    *,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Join the commands; see `sidecar COMMAND --help`."""


def main() -> None:
    """Run the command line; an error of ours is one sentence on stderr and an exit code, never a stack trace."""
    try:
        app()
    except SidecarError as error:
        typer.echo(f"sidecar: {error}", err=True)
        sys.exit(_EXIT_CODES.get(error.kind, FAILURE))
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        sys.stderr.close()
        sys.exit(FAILURE)


if __name__ == "__main__":
    main()
