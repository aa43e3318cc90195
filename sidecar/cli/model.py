"""`sidecar model`: lists, pins and builds model versions."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Column, Table

from sidecar.cli.options import AsJson, ConfigFile, command_group, configure
from sidecar.cli.steps import steps
from sidecar.errors import ConfigurationError, InvalidInput
from sidecar.evaluation.docstrings import read_passages
from sidecar.files import unmarked
from sidecar.model import ModelVersion
from sidecar.models.artifacts import Artifact
from sidecar.models.catalogue import CatalogueEntry, catalogue
from sidecar.models.store import KnownModel, ModelStore

_NAME_WIDTH: Final = 14
_TABLE_WIDTH: Final = 200  # a narrow terminal wraps the lines, and a pipe must not lose their ends

app = command_group("Model versions: list them, show one, pin the files of another, build one.")


@app.command("list")
def list_models(config: ConfigFile = None, *, as_json: AsJson = False) -> None:
    """List the model versions and the catalogue's other models, and which can be used on this machine."""
    store = _store(config)
    known = store.known()
    built = {model.version.id: store.artifacts.built(model.version) for model in known}
    names = {model.version.id.partition("@")[0] for model in known}
    entries = [entry for entry in catalogue().values() if entry.name not in names]
    if as_json:
        lines = [{**_version_line(model), "built": built[model.version.id]} for model in known]
        print(json.dumps([*lines, *map(_entry_line, entries)]))
        return
    table = Table(
        "model",
        Column("dimension", justify="right"),
        Column("max tokens", justify="right"),
        "pooling",
        "normalized",
        "space_type",
        "usable here",
        "built for",
        "description",
        box=None,
        pad_edge=False,
    )
    for row in _rows(known, entries, built):
        table.add_row(*row)
    Console(highlight=False, markup=False, width=_TABLE_WIDTH).print(table)


@app.command()
def show(
    model: Annotated[str, typer.Argument(help="Model version, or its bare name if there is only one.")],
    config: ConfigFile = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show one model version: its manifest, its space fingerprint and where its files are."""
    known = _store(config).find(model)
    document = {
        **known.version.model_dump(mode="json"),
        "space": known.version.space,
        "folder": None if known.folder is None else str(known.folder),
    }
    if as_json:
        print(json.dumps(document))
        return
    for name, value in document.items():
        print(f"{name:<{_NAME_WIDTH}}{value if isinstance(value, str) else json.dumps(value)}")


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Name of the model: one of the catalogue, or a new one.")],
    source: Annotated[
        str, typer.Option("--from", help="Folder, package:P (installed) or hub:N (downloads).", metavar="SOURCE")
    ],
    version_id: Annotated[
        str | None, typer.Option("--id", help="Model version to make [default: NAME@1].", metavar="NAME@N")
    ] = None,
    config: ConfigFile = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Pin a model's files as a model version: copy them, with their hashes in version.json.

    It is refused if the id already names another space. Adding the same files again changes nothing.
    """
    known = _store(config).add(name, source, version_id=version_id)
    if as_json:
        print(json.dumps(_version_line(known)))
    else:
        print(f"{known.version.id} is pinned in {known.folder}, space {known.version.space}")


@app.command()
def build(
    model: Annotated[str, typer.Argument(help="Model version, or its bare name if there is only one.")],
    backend: Annotated[
        str, typer.Option("--backend", help="openvino (float32), openvino-w8 (8-bit weights) or openvino-int8.")
    ] = "openvino-w8",
    texts: Annotated[
        Path | None,
        typer.Option(
            "--texts",
            help="File with a text a line, to calibrate and measure with [default: docstrings of installed packages].",
            metavar="FILE",
        ),
    ] = None,
    config: ConfigFile = None,
    *,
    force: Annotated[bool, typer.Option("--force", help="Build again, also if there is an intact build.")] = False,
    as_json: AsJson = False,
) -> None:
    """Build a model version for a CPU back end. It takes seconds, or a minute for openvino-int8.

    It needs the extra [build]. `sidecar embedder --model MODEL` then uses the build if the CPU is quick
    with it. An intact build is kept.
    """
    store = _store(config)
    kept = None if force else _intact(store, model, backend)
    artifact = kept or _build(store, model, backend, texts)
    manifest = artifact.manifest
    if as_json:
        print(json.dumps({**manifest.model_dump(mode="json"), "folder": str(artifact.folder)}))
    else:
        distance = manifest.distance
        print(
            f"{manifest.model}/{manifest.backend} {'was built already' if kept else 'is built'} in {artifact.folder}; "
            f"cosine to float32 on {distance.texts} texts: {distance.cosine_min:.4f} at least, "
            f"{distance.cosine_mean:.4f} on average"
        )


def _intact(store: ModelStore, model: str, backend: str) -> Artifact | None:
    try:
        return store.artifacts.open(store.find(model).version, backend)
    except ConfigurationError:  # not built, damaged or of another space, which are all reasons to build
        return None


def _build(store: ModelStore, model: str, backend: str, texts: Path | None) -> Artifact:
    from sidecar.embedding.loading.building import TEXTS, build  # noqa: PLC0415 - a bridge host has no tokenizers

    with redirect_stdout(sys.stderr), steps() as report:  # NNCF draws its progress bars on stdout
        report("reading texts to measure with")
        chosen = _lines(texts) if texts is not None else _docstrings(TEXTS)
        return build(model, backend, store, texts=chosen, report=report)


def _docstrings(count: int) -> list[str]:
    """First paragraphs and whole docstrings in turn. Calibrated with short texts alone, 8 bits fit long ones badly."""
    return [
        one.abstract if number % 2 else f"{one.title}\n{one.abstract}\n{one.content}"
        for number, one in enumerate(read_passages(count))
    ]


def _lines(file: Path) -> list[str]:
    try:
        return [line for line in unmarked(file.read_bytes()).decode("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput("texts", f"{file} cannot be read: {error}") from error


def _store(config: ConfigFile) -> ModelStore:
    return ModelStore(configure(config).settings.models.dir)


def _rows(
    known: tuple[KnownModel, ...], entries: list[CatalogueEntry], built: Mapping[str, tuple[str, ...]]
) -> Iterator[tuple[str, ...]]:
    for model in known:
        version = model.version
        usable = "yes" if model.folder else "no files"
        yield version.id, *_facts(version), usable, ", ".join(built[version.id]), version.description
    for entry in entries:
        yield entry.name, *_facts(entry), "not pinned", "", entry.description


def _facts(model: ModelVersion | CatalogueEntry) -> tuple[str, ...]:
    normalized = "yes" if model.normalized else "no"
    return str(model.dimension), str(model.max_tokens), model.pooling, normalized, model.space_type.value


def _version_line(model: KnownModel) -> dict[str, object]:
    version = model.version
    return {
        "model": version.id,
        "pinned": True,
        "usable": model.folder is not None,
        "space": version.space,
        **_line(version),
    }


def _entry_line(entry: CatalogueEntry) -> dict[str, object]:
    return {"model": entry.name, "pinned": False, "usable": False, "hub": entry.hub, **_line(entry)}


def _line(model: ModelVersion | CatalogueEntry) -> dict[str, object]:
    wanted = {"dimension", "max_tokens", "pooling", "normalized", "space_type", "prompts", "description"}
    return model.model_dump(mode="json", include=wanted)
