"""`sidecar template`: index templates for a model version."""

import asyncio
import dataclasses
import functools
import inspect
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich import box
from rich.console import Console
from rich.table import Column, Table

from sidecar.cli.options import AsJson, ConfigFile, command_group, configure, setting
from sidecar.errors import InvalidInput
from sidecar.jsontext import Json, loads_exact
from sidecar.model import Engine, SpaceType
from sidecar.models.store import ModelStore
from sidecar.opensearch.client import connect
from sidecar.ports import Cluster
from sidecar.templates import apply as installation
from sidecar.templates.compiler import DEFAULT_PRIORITY, CompiledTemplate, compile_template, default_base
from sidecar.templates.installed import Summary

_DIFFERENT = 1

app = command_group("Index templates that bind texts to the vector field of a model version.")

T = TypeVar("T")

ClusterUrl = Annotated[str | None, setting("cluster.url", "--cluster", metavar="URL")]


def _compile(
    name: Annotated[str, typer.Argument(help="Name of the template, and alias of its indices.")],
    *,
    model: Annotated[str, typer.Option("--model", help="Model version, such as all-minilm-l6-v2@1.", metavar="ID")],
    index_pattern: Annotated[
        list[str], typer.Option("--index-pattern", help="Indices to bind, such as 'papers*'. May be given again.")
    ],
    source: Annotated[str, typer.Option("--source", help="Text fields to embed, in order.", metavar="FIELD,FIELD…")],
    field: Annotated[str, typer.Option("--field", help="The vector field.")] = "embedding",
    mapping: Annotated[
        Path | None,
        typer.Option(
            "--mapping",
            help="JSON file: a mapping, or an object with mappings and settings "
            "[default: title, abstract, content as English text]",
            metavar="FILE",
        ),
    ] = None,
    space_type: Annotated[
        SpaceType | None, typer.Option("--space-type", help="How vectors are compared [default: the model version's]")
    ] = None,
    engine: Annotated[Engine, typer.Option("--engine", help="The k-NN engine of the vector field.")] = Engine.LUCENE,
    priority: Annotated[
        int, typer.Option("--priority", help="If several templates match, the highest priority wins.")
    ] = DEFAULT_PRIORITY,
    config: ConfigFile = None,
) -> CompiledTemplate:
    store = ModelStore(configure(config).settings.models.dir)
    return compile_template(
        name,
        store.find(model).version,
        default_base() if mapping is None else _read_json(mapping),
        index_patterns=index_pattern,
        source=source.split(","),
        field=field,
        space_type=space_type,
        engine=engine,
        priority=priority,
    )


def _compiling(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `_compile`, which are declared once, and call it with the compiled template."""
    shared = inspect.signature(_compile).parameters
    _, *own = inspect.signature(command).parameters.values()

    @functools.wraps(command)
    def run(**given: object) -> None:
        compiled = _compile(**{name: given[name] for name in shared})  # type: ignore[arg-type]
        command(compiled, **{parameter.name: given[parameter.name] for parameter in own})

    parameters = {**shared, **{parameter.name: parameter for parameter in own}}
    run.__signature__ = inspect.Signature(tuple(parameters.values()))  # type: ignore[attr-defined]
    run.__annotations__ = {name: parameter.annotation for name, parameter in parameters.items()}
    return run


@app.command()
@_compiling
def render(compiled: CompiledTemplate) -> None:
    """Print the documents that `apply` would install, by cluster path, as JSON. No cluster is asked."""
    _print_json(dict(compiled.documents))


@app.command()
@_compiling
def diff(
    compiled: CompiledTemplate, *, cluster: ClusterUrl = None, config: ConfigFile = None, as_json: AsJson = False
) -> None:
    """Show the changes that `apply` would make. The exit code is 1 if there are any."""
    changes = _ask(config, cluster, lambda there: installation.diff(there, compiled))
    if as_json:
        _print_json([dataclasses.asdict(change) for change in changes])
    else:
        for change in changes:
            typer.echo(change.diff())
    if changes:
        raise typer.Exit(_DIFFERENT)


@app.command()
@_compiling
def apply(
    compiled: CompiledTemplate,
    *,
    create: Annotated[
        bool, typer.Option("--create", help="Also make the first index, with the template's name as write alias.")
    ] = False,
    cluster: ClusterUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Install the template in the cluster. Documents that are there already are left alone."""
    applied = _ask(config, cluster, lambda there: installation.apply(there, compiled, create=create))
    changed = [change.path for change in applied.changes]
    if as_json:
        _print_json({"template": compiled.names.template, "changed": changed, "created_index": applied.created_index})
        return
    for path in changed:
        typer.echo(f"put {path}")
    if applied.created_index is not None:
        typer.echo(f"created index {applied.created_index} with write alias {compiled.names.template}")
    if not changed and applied.created_index is None:
        typer.echo(f"template {compiled.names.template} is installed already; nothing was changed")


@app.command("list")
def list_templates(*, cluster: ClusterUrl = None, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List the installed templates, with their model versions and indices."""
    found = _ask(config, cluster, installation.list_templates)
    if as_json:
        _print_json([dataclasses.asdict(summary) for summary in found])
    else:
        _print_table(found)


@app.command()
def delete(
    name: Annotated[str, typer.Argument(help="Name of the template.")],
    *,
    cluster: ClusterUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Delete a template and its pipelines from the cluster. It is refused while an index uses one of them."""
    paths = _ask(config, cluster, lambda there: installation.delete(there, name))
    if as_json:
        _print_json({"template": name, "deleted": list(paths)})
    else:
        for path in paths:
            typer.echo(f"deleted {path}")


def _ask(file: Path | None, url: str | None, question: Callable[[Cluster], Awaitable[T]]) -> T:
    settings = configure(file, cluster__url=url).settings.cluster

    async def ask() -> T:
        async with connect(settings) as cluster:
            return await question(cluster)

    return asyncio.run(ask())


def _read_json(file: Path) -> Json:
    try:
        return loads_exact(file.read_bytes())
    except (OSError, ValueError) as error:
        raise InvalidInput("mapping", f"file {file} cannot be read as JSON: {error}") from error


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, indent=2))


def _print_table(found: Sequence[Summary]) -> None:
    headers = ("template", "model", "field", "source", "patterns", "indices")
    table = Table(*(Column(header, overflow="fold") for header in headers), box=box.SIMPLE)
    for summary in found:
        table.add_row(
            summary.template,
            summary.model,
            summary.field,
            ", ".join(summary.source),
            ", ".join(summary.index_patterns),
            ", ".join(summary.indices),
        )
    Console(markup=False, highlight=False).print(table)
