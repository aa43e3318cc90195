"""`sidecar repair`: finds stored vectors that are not those of their texts, and repairs them."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from sidecar.cli.foreground import run_until_signal
from sidecar.cli.options import AsJson, ConfigFile, configure, setting
from sidecar.config import Settings
from sidecar.errors import InvalidInput
from sidecar.opensearch.client import connect
from sidecar.repair.documents import Kind
from sidecar.repair.patience import Patience
from sidecar.repair.report import Outcome, Report
from sidecar.repair.scan import Scan, ScanProgress, check
from sidecar.repair.targets import Target, UnfitTarget

_NOT_RIGHT: Final = 1
_PATIENCE_S: Final = 300.0
_WATCH_PAUSE_S: Final = 5.0
_AUDIT_EVERY_S: Final = 3_600.0
_MAX_SHOWN_FAILURES: Final = 20
_TABLE_WIDTH: Final = 160  # a narrow terminal wraps the lines, and a pipe must not lose their ends


def repair(
    indices: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INDEX",
            help="Indices, aliases, data streams or wildcards [default: every index that is bound]",
        ),
    ] = None,
    *,
    only_check: Annotated[
        bool, typer.Option("--check", help="Write nothing. Count the faults, and exit with 1 if there are any.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Repair pending documents until Ctrl-C, and audit every hour.")
    ] = False,
    cluster: Annotated[str | None, setting("cluster.url", "--cluster", metavar="URL")] = None,
    embedder: Annotated[str | None, setting("bridge.embedder", "--embedder", metavar="HOST:PORT")] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Find vectors that are missing, pending or another text's, and repair them.

    It works on the cluster itself, not through the bridge, and may run beside writers and other repairs. The exit code
    is 1 if something is not right at the end.
    """
    if only_check and watch:
        raise InvalidInput("--watch", "cannot be combined with --check, which looks once")
    settings = configure(config, cluster__url=cluster, bridge__embedder=embedder).settings
    names = tuple(indices or ())
    if watch:
        run_until_signal(_watch(settings, names, as_json=as_json))
        return
    report = asyncio.run(_check(settings, names) if only_check else _repair(settings, names))
    _say(report, as_json=as_json)
    if not report.is_right:
        raise typer.Exit(_NOT_RIGHT)


async def _check(settings: Settings, names: tuple[str, ...]) -> Report:
    with _progress() as advance:
        async with connect(settings.cluster) as cluster:
            scan = Scan(cluster, Patience(_PATIENCE_S), advance)
            return await check(scan, await _targets(scan, names))


async def _repair(settings: Settings, names: tuple[str, ...]) -> Report:
    from sidecar.cli.embedder_client import embedder_client  # noqa: PLC0415 - --check needs no grpc
    from sidecar.repair.passes import Passes  # noqa: PLC0415

    patience = Patience(_PATIENCE_S)
    with _progress() as advance:
        async with connect(settings.cluster) as cluster, embedder_client(settings.bridge) as embedder:
            scan = Scan(cluster, patience, advance)
            return await Passes(scan, embedder, patience).repair_all(await _targets(scan, names))


async def _watch(settings: Settings, names: tuple[str, ...], *, as_json: bool) -> None:
    from sidecar.cli.embedder_client import embedder_client  # noqa: PLC0415
    from sidecar.repair.passes import Passes  # noqa: PLC0415
    from sidecar.repair.watch import watch  # noqa: PLC0415

    patience = Patience(None)
    problems: dict[str, str | None] = {}

    def say(report: Report) -> None:
        """Print the report of a pass that has news."""
        now = {index.index: index.problem for index in report.indices}
        if any(index.counts for index in report.indices) or any(now[name] != problems.get(name) for name in now):
            _say(report, as_json=as_json)
        problems.update(now)

    async with connect(settings.cluster) as cluster, embedder_client(settings.bridge) as embedder:
        scan = Scan(cluster, patience, lambda _more, _done: None)
        passes = Passes(scan, embedder, patience)
        await watch(scan, passes, names, pause_s=_WATCH_PAUSE_S, audit_every_s=_AUDIT_EVERY_S, say=say)


async def _targets(scan: Scan, names: tuple[str, ...]) -> tuple[Target | UnfitTarget, ...]:
    targets = await scan.targets(names)
    if names and not targets:
        raise InvalidInput("INDEX", f"[{','.join(names)}] names no index that is bound")
    return targets


class _Rate(ProgressColumn):
    """Documents a second."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:,.0f}/s", style="dim")


@contextmanager
def _progress() -> Iterator[ScanProgress]:
    """A bar on stderr if that is a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("documents", total=0)
        total = 0

        def advance(more: int, done: int) -> None:
            nonlocal total
            total += more
            progress.update(task, total=total, advance=done)

        yield advance


def _say(report: Report, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(report.to_json()), flush=True)
        return
    console = Console(width=_TABLE_WIDTH, highlight=False, markup=False)
    console.print(_table(report), _conclusion(report))
    failures = [failure for index in report.indices for failure in index.failures]
    for failure in failures[:_MAX_SHOWN_FAILURES]:
        console.print(f"not repaired: {failure.index}/{failure.id} [{failure.field}]: {failure.reason}")
    if len(failures) > _MAX_SHOWN_FAILURES:
        console.print(f"and {len(failures) - _MAX_SHOWN_FAILURES:,} more (--json lists them)")
    for index in report.indices:
        if index.problem is not None:
            console.print(f"{index.index}: {index.problem}")


def _table(report: Report) -> Table:
    """A line for each index, and a column for each kind and outcome that was found."""
    kinds = [kind for kind in Kind if any(index.found(kind) for index in report.indices)]
    outcomes = [outcome for outcome in Outcome if any(index.number(outcome) for index in report.indices)]
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("index", overflow="fold")
    for heading in ("documents", *(name.value.replace("_", " ") for name in (*kinds, *outcomes))):
        table.add_column(heading, justify="right")
    for index in report.indices:
        numbers = (index.documents, *map(index.found, kinds), *map(index.number, outcomes))
        table.add_row(index.index, *(f"{number:,}" for number in numbers))
    return table


def _conclusion(report: Report) -> str:
    if not report.indices:
        return "no index is bound"
    return "all is right" if report.is_right else "something is not right"
