"""`sidecar embed`: what it prints and writes of what the server answers."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from sidecar.cli import embed as command
from sidecar.errors import ConfigurationError
from sidecar.models.catalogue import shipped_versions
from tests.support.embedders import HashEmbedder

MINILM = shipped_versions()["all-minilm-l6-v2@1"]
EMBEDDER = HashEmbedder(MINILM, refuses=frozenset({"bad"}))


@pytest.fixture(autouse=True)
def connected(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    @asynccontextmanager
    async def client(_settings: object) -> AsyncIterator[HashEmbedder]:
        yield EMBEDDER

    monkeypatch.setattr(command, "embedder_client", client)
    monkeypatch.chdir(tmp_path)


def run(*arguments: str, lines: str = "") -> Result:
    app = typer.Typer()
    app.command()(command.embed)
    return CliRunner().invoke(app, arguments, input=lines)


def test_texts_get_their_vectors_by_the_only_model() -> None:
    done = run("a", "-", "--json", lines="b\nc\n")
    document = json.loads(done.stdout)

    assert document["model"] == MINILM.id
    assert [item["vector"] for item in document["items"]] == [EMBEDDER.vector(text).tolist() for text in "abc"]


def test_the_mark_of_windows_editors_is_no_text() -> None:
    document = json.loads(run("-", "--json", lines="\ufeffb\r\nc\n").stdout)
    assert [item["vector"] for item in document["items"]] == [EMBEDDER.vector(text).tolist() for text in "bc"]


def test_a_text_without_a_vector_is_named_and_ends_with_1() -> None:
    done = run("good", "bad")

    assert done.exit_code == 1
    assert "refused" in next(line for line in done.stdout.splitlines() if line.startswith("bad"))
    assert "+" in done.stdout


def test_the_matrix_is_written_with_a_row_for_each_text(tmp_path: Path) -> None:
    run("good", "bad", "--output", str(tmp_path / "vectors"))
    written = np.load(tmp_path / "vectors")

    np.testing.assert_array_equal(written[0], EMBEDDER.vector("good"))
    assert np.isnan(written[1]).all()


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    error = run("good", "--output", str(tmp_path / "none" / "vectors")).exception

    assert isinstance(error, ConfigurationError)
    assert "--output" in str(error)
