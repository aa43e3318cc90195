"""`sidecar eval`: retrieval quality of a running system, lexical, semantic and hybrid side by side."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from sidecar.cli.options import AsJson, ConfigFile, configure, setting
from sidecar.evaluation import run
from sidecar.evaluation.data_set import MEASURES, DataSet, measure, open_data_set
from sidecar.evaluation.run import EvaluatedSystem, Evaluation, EvaluationProgress
from sidecar.jsontext import dumps
from sidecar.model import ModelVersion
from sidecar.models.store import ModelStore

_HEADINGS: Final[Mapping[str, str]] = {"R@100": "recall@100", "RR@10": "MRR@10", "AP@100": "MAP@100"}


def evaluate(
    data_set: Annotated[Path, typer.Argument(metavar="DATA_SET", help="Folder in BEIR layout.")],
    *,
    bridge: Annotated[str | None, typer.Option(metavar="URL", help="The bridge [default: at bridge.listen]")] = None,
    cluster: Annotated[str | None, setting("cluster.url", "--cluster", metavar="URL")] = None,
    model: Annotated[str, typer.Option(metavar="ID", help="Model version to bind with.")] = "all-minilm-l6-v2@1",
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Measure retrieval quality of the running system on a judged data set.

    The corpus is indexed through the bridge, into an index that is deleted at the end. Each judged query is one
    multi_match over title and abstract, answered in each mode.
    """
    settings = configure(config, cluster__url=cluster).settings
    judged = open_data_set(data_set)
    measure(judged.judgements, {})  # a missing extra is reported now, not after the corpus is indexed
    version = ModelStore(settings.models.dir).find(model).version
    system = EvaluatedSystem(bridge or f"http://{settings.bridge.listen}", settings.cluster)
    found = asyncio.run(_evaluate(judged, version, system))
    if as_json:
        typer.echo(dumps(asdict(found)))
    else:
        about = f"{found.data_set}: {found.documents:,} documents, {found.queries:,} queries, {found.model}"
        Console(highlight=False).print(about, _table(found), sep="\n")


async def _evaluate(data_set: DataSet, version: ModelVersion, system: EvaluatedSystem) -> Evaluation:
    with _bars() as advance:
        return await run.evaluate(data_set, version, system, advance)


@contextmanager
def _bars() -> Iterator[EvaluationProgress]:
    """A bar on stderr for each step."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bars: dict[str, TaskID] = {}
    with Progress(*columns, console=Console(stderr=True)) as progress:

        def advance(step: str, done: int, total: int) -> None:
            if step not in bars:
                bars[step] = progress.add_task(step, total=total)
            progress.advance(bars[step], done)

        yield advance


def _table(found: Evaluation) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("mode")
    for name in MEASURES:
        table.add_column(_HEADINGS.get(name, name), justify="right")
    for mode, measures in found.modes.items():
        table.add_row(mode, *(f"{measures[name]:.3f}" for name in MEASURES))
    return table
