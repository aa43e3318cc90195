"""The command `sidecar`: the only place where the rooms are joined."""

import sys
from importlib import import_module
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from sidecar import __version__
from sidecar.errors import ErrorKind, SidecarError
from sidecar.output import forget_stdout, guard_streams

USAGE_ERROR: Final = 2
FAILURE: Final = 1

# 2: the caller or the operator must change something. 1, for every other kind: the same call may succeed later.
_EXIT_CODES: Final = {
    ErrorKind.BAD_INPUT: USAGE_ERROR,
    ErrorKind.CONFIGURATION: USAGE_ERROR,
    ErrorKind.NOT_FOUND: USAGE_ERROR,
    ErrorKind.CONFLICT: USAGE_ERROR,
    ErrorKind.TOO_LARGE: USAGE_ERROR,
}

# Command -> the module of this package, its Typer group or function there, and the first sentence of its help. So the
# list of commands is printed without importing any of them.
_COMMANDS: Final = {
    "up": ("up", "up", "Run a local OpenSearch node (or use --upstream), the embedder and the bridge until Ctrl-C."),
    "demo": (
        "demo",
        "demo",
        "Start everything, index docstrings through the bridge, and search them in everyday words.",
    ),
    "template": ("template", "app", "Index templates that bind texts to the vector field of a model version."),
    "model": ("model", "app", "Model versions: list them, show one, pin the files of another, build one."),
    "embed": ("embed", "embed", "Embed texts on the embedding server, without the bridge."),
    "repair": ("repair", "repair", "Find vectors that are missing, pending or another text's, and repair them."),
    "doctor": (
        "doctor",
        "doctor",
        "Compare cluster, embedding server, templates and bound indices, and say what does not fit and how to fix it.",
    ),
    "eval": ("eval", "evaluate", "Measure retrieval quality of the running system on a judged data set."),
    "bridge": (
        "bridge",
        "bridge",
        "Run the HTTP bridge: it embeds indexed texts, makes searches hybrid, and forwards all else unchanged.",
    ),
    "embedder": ("embedder", "embedder", "Run the embedding server: texts in, vectors out, over gRPC."),
    "node": ("node", "app", "A local OpenSearch node with k-NN, for development and tests."),
    "config": ("config", "app", "Show the settings in force and where each comes from."),
}


class _Commands(TyperGroup):
    """Imports a command when it is called, so that no command waits for the libraries of another."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module, attribute, _ = _COMMANDS[cmd_name]
        found = getattr(import_module(f"sidecar.cli.{module}"), attribute)
        if not isinstance(found, typer.Typer):
            single = typer.Typer(rich_markup_mode=None, add_completion=False)
            single.command(cmd_name)(found)
            found = single
        command = typer.main.get_command(found)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, sentence) for name, (_, _, sentence) in _COMMANDS.items()])


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
    """Join the commands. See `sidecar COMMAND --help`."""


def main() -> None:
    """Run the command line. An error of ours becomes one sentence on stderr and an exit code, without a traceback."""
    guard_streams()
    try:
        app()
    except SidecarError as error:
        typer.echo(f"sidecar: {error}", err=True)
        sys.exit(_EXIT_CODES.get(error.kind, FAILURE))
    except BrokenPipeError:  # the reader of our output has ended, as `head` does
        forget_stdout()
        sys.exit(FAILURE)


if __name__ == "__main__":
    main()
