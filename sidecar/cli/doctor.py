"""`sidecar doctor`: whether the parts of the system fit together."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from sidecar.cli.options import AsJson, ConfigFile, configure, setting
from sidecar.config import Settings
from sidecar.doctor.findings import Level, Subject, count, report

_FOUND: Final = 1
_UNREACHABLE: Final = 2
_STYLES: Final = {Level.OK: "green", Level.NOTE: "cyan", Level.WARNING: "yellow", Level.ERROR: "red"}


def doctor(
    indices: Annotated[
        list[str] | None,
        typer.Argument(metavar="INDEX", help="Indices, aliases or wildcards [default: every index that is bound]"),
    ] = None,
    *,
    bridge: Annotated[str | None, typer.Option(metavar="URL", help="Also examine the bridge at this URL.")] = None,
    cluster: Annotated[str | None, setting("cluster.url", "--cluster", metavar="URL")] = None,
    embedder: Annotated[str | None, setting("bridge.embedder", "--embedder", metavar="HOST:PORT")] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Compare cluster, embedding server, templates and bound indices, and say what does not fit and how to fix it.

    It only reads. The exit code is 1 if there is an error, 2 if a part cannot be reached, and 0 with warnings alone.
    """
    settings = configure(config, cluster__url=cluster, bridge__embedder=embedder).settings
    subjects = asyncio.run(_examine(settings, tuple(indices or ()), bridge))
    if as_json:
        print(json.dumps(report(subjects)))
    else:
        _print(subjects)
    if not all(subject.answers for subject in subjects):
        raise typer.Exit(_UNREACHABLE)
    if any(subject.level is Level.ERROR for subject in subjects):
        raise typer.Exit(_FOUND)


async def _examine(settings: Settings, names: tuple[str, ...], bridge: str | None) -> list[Subject]:
    from sidecar.cli.embedder_client import embedder_client  # noqa: PLC0415
    from sidecar.doctor import reading  # noqa: PLC0415 - grpc would slow --help
    from sidecar.models.store import ModelStore  # noqa: PLC0415
    from sidecar.opensearch.client import connect  # noqa: PLC0415

    access = settings.cluster

    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(connect(access))
        client = await stack.enter_async_context(embedder_client(settings.bridge))
        seen = await reading.see_embedder(", ".join(settings.bridge.embedder), client)
        subjects = [seen.subject, await reading.see_cluster(access.url, cluster)]
        if not subjects[-1].answers:
            return subjects
        if bridge is not None:
            at = await stack.enter_async_context(connect(access, bridge.rstrip("/")))
            subjects.append(await reading.see_bridge(bridge, at, cluster))
        versions = [*(seen.served or {}).values(), *(one.version for one in ModelStore(settings.models.dir).known())]
        known = {(version.id, version.space): version for version in versions}
        with _progress() as progress:
            found = await reading.see_indices(cluster, names, seen.served, known, progress)
        return [*subjects, *found]


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr if that is a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("indices"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("indices", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _print(subjects: list[Subject]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for subject in subjects:
        about = f": {subject.about}" if subject.about else ""
        _line(console, subject.level, f"{subject.kind} {subject.name}{about}")
        for finding in subject.findings:
            _line(console, finding.level, f"{finding.check}: {finding.message}", indent="  ")
            console.print(f"          fix: {finding.remedy}", style="dim", markup=False)
    numbers = count(subjects).items()
    found = ", ".join(f"{number} {level}{'' if number == 1 else 's'}" for level, number in numbers if number)
    console.print(found or "all is well", style="bold")


def _line(console: Console, level: Level, text: str, *, indent: str = "") -> None:
    console.print(f"{indent}{level:<8}", style=_STYLES[level], end="")
    console.print(text, markup=False)
