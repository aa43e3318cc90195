"""`sidecar node`: a local OpenSearch for development."""

import asyncio
import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from sidecar.cli.options import AsJson, ConfigFile, command_group, configure, setting
from sidecar.cli.steps import steps
from sidecar.config import NodeSettings
from sidecar.opensearch.assembly import home_of
from sidecar.opensearch.detached import detached_status, start_detached, stop_detached

_FAILURE = 1

app = command_group("A local OpenSearch node with k-NN, for development and tests.")

NodeDir = Annotated[Path | None, setting("node.dir", "--dir", metavar="DIRECTORY")]


@app.command()
def start(
    *,
    port: Annotated[int | None, setting("node.http_port", "--port", metavar="PORT")] = None,
    heap: Annotated[str | None, setting("node.heap", "--heap", metavar="SIZE")] = None,
    directory: NodeDir = None,
    config: ConfigFile = None,
) -> None:
    """Start the node in the background and print its URL. The first time, Maven fetches it."""
    settings = _settings(config, node__http_port=port, node__heap=heap, node__dir=directory)
    with steps() as report:
        node, is_new = start_detached(settings, port=settings.http_port, report=report)
    if not is_new:
        typer.echo(f"the local OpenSearch node is already running (process {node.pid})", err=True)
    typer.echo(node.url)


@app.command()
def stop(*, directory: NodeDir = None, config: ConfigFile = None) -> None:
    """Stop the node and wait for its end. Its data stays."""
    node = stop_detached(_settings(config, node__dir=directory))
    typer.echo("no local OpenSearch node is running" if node is None else f"stopped process {node.pid}", err=True)


@app.command()
def status(*, as_json: AsJson = False, directory: NodeDir = None, config: ConfigFile = None) -> None:
    """Say whether the node lives and answers. The exit code is 1 if not."""
    seen = asyncio.run(detached_status(_settings(config, node__dir=directory)))
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(seen)))
    else:
        typer.echo(seen.state if seen.url is None else f"{seen.state} at {seen.url} (process {seen.pid})")
    if seen.state != "running":
        raise typer.Exit(_FAILURE)


@app.command()
def path(*, directory: NodeDir = None, config: ConfigFile = None) -> None:
    """Print the folder of the node's home. The exit code is 1 if it is not assembled yet, which `start` does."""
    home = home_of(_settings(config, node__dir=directory).dir)
    typer.echo(home)
    if not home.is_dir():
        typer.echo("it is not assembled yet", err=True)
        raise typer.Exit(_FAILURE)


def _settings(file: Path | None, **flags: object) -> NodeSettings:
    return configure(file, **flags).settings.node
