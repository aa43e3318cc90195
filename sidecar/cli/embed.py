"""`sidecar embed`: vectors straight from the embedding server."""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer
from rich.console import Console
from rich.table import Column, Table

from sidecar.cli.embedder_client import embedder_client
from sidecar.cli.options import AsJson, ConfigFile, configure, setting
from sidecar.errors import ConfigurationError, InvalidInput
from sidecar.model import Role
from sidecar.ports import Embeddings, Lane
from sidecar.rpc.client import EmbedderClient

_SHOWN_COMPONENTS: Final = 4
_TABLE_WIDTH: Final = 200  # a narrow terminal wraps the lines, and a pipe must not lose their ends
_TIMEOUT_S: Final = 600.0
_FAILED_TEXT: Final = 1


def embed(
    texts: Annotated[list[str], typer.Argument(help="Texts to embed. - reads one a line from standard input.")],
    *,
    role: Annotated[Role, typer.Option(help="The role of the texts, which decides the prompt.")] = Role.PASSAGE,
    model: Annotated[
        str | None, typer.Option(help="Model version [default: the only one that is loaded]", metavar="ID")
    ] = None,
    embedder: Annotated[str | None, setting("bridge.embedder", "--embedder", metavar="HOST:PORT")] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Write the matrix here: one row a text, NaN where a text failed.", metavar="FILE.npy"),
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Embed texts on the embedding server, without the bridge. The exit code is 1 if a text has no vector."""
    settings = configure(config, bridge__embedder=embedder).settings
    wanted = [line for text in texts for line in (_lines() if text == "-" else [text])]
    found = asyncio.run(_embed(embedder_client(settings.bridge), wanted, role, model))
    if output is not None:
        _write(output, found)
    if as_json:
        print(json.dumps(_document(found, with_vectors=output is None)))
    else:
        _print(wanted, found)
    if any(item.error for item in found.items):
        raise typer.Exit(_FAILED_TEXT)


def _lines() -> list[str]:
    lines = [line.rstrip("\r\n") for line in sys.stdin]
    return [lines[0].removeprefix("\ufeff"), *lines[1:]] if lines else []  # the byte order mark of a file from Windows


async def _embed(embedder: EmbedderClient, texts: Sequence[str], role: Role, model: str | None) -> Embeddings:
    async with embedder as client:
        chosen = model or await _only_model(client)
        return await client.embed(texts, role, model=chosen, lane=Lane.BULK, timeout_s=_TIMEOUT_S)


async def _only_model(client: EmbedderClient) -> str:
    ids = [served.version.id for served in await client.models()]
    if len(ids) != 1:
        raise InvalidInput("model", f"must be given: the embedder has loaded {', '.join(ids) or 'none'}")
    return ids[0]


def _write(file: Path, found: Embeddings) -> None:
    width = found.matrix.shape[1]
    vectors = [found.vector(position) for position in range(len(found.items))]
    matrix = np.array([np.full(width, np.nan) if vector is None else vector for vector in vectors], dtype=np.float32)
    try:
        with file.open("wb") as stream:  # np.save would add .npy to another name
            np.save(stream, matrix)
    except OSError as error:
        raise ConfigurationError(f"--output {file}: {error.strerror}") from error


def _document(found: Embeddings, *, with_vectors: bool) -> dict[str, object]:
    items: list[dict[str, object]] = []
    for position, item in enumerate(found.items):
        vector = found.vector(position)
        entry: dict[str, object] = {"tokens": item.tokens, "truncated": item.truncated}
        if item.error is not None:
            entry["error"] = item.error
        if with_vectors:
            entry["vector"] = None if vector is None else vector.tolist()
        items.append(entry)
    return {"model": found.model, "space": found.space, "backend": found.backend, "items": items}


def _print(texts: Sequence[str], found: Embeddings) -> None:
    table = Table(
        Column("text", max_width=40, no_wrap=True, overflow="ellipsis"),
        Column("tokens", justify="right"),
        "truncated",
        Column("norm", justify="right"),
        "first values",
        box=None,
        pad_edge=False,
    )
    for position, (text, item) in enumerate(zip(texts, found.items, strict=True)):
        vector = found.vector(position)
        if vector is None:
            table.add_row(text, str(item.tokens), "", "", item.error)
            continue
        truncated = f"yes ({item.tokens_dropped} tokens)" if item.truncated else "no"
        first = " ".join(f"{value:+.4f}" for value in vector[:_SHOWN_COMPONENTS])
        table.add_row(text, str(item.tokens), truncated, f"{np.linalg.norm(vector):.4f}", first)
    console = Console(highlight=False, markup=False, width=_TABLE_WIDTH)
    console.print(f"model {found.model} ({found.backend}), dimension {found.matrix.shape[1]}, space {found.space}")
    console.print(table)
