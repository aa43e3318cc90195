"""`sidecar repair` as a process, with the real model."""

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sidecar.model import Role
from sidecar.provenance import provenance_hash
from sidecar.rpc import EmbedderClient
from tests.cluster.bridges import Papers
from tests.support.http import ndjson
from tests.support.provenances import state_of

SIDECAR = Path(sys.executable).with_name("sidecar")


def run(system: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [SIDECAR, "repair", *arguments, "--cluster", system["cluster"], "--embedder", system["embedder"]]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


async def test_the_command_with_the_real_model(
    papers: Papers, system: dict[str, str], embedder: EmbedderClient
) -> None:
    await papers.bridge("PUT", f"/{papers.index}/_doc/1?refresh=true", {"title": "cats purr", "year": 1})
    update = ndjson(
        {"update": {"_id": "1"}}, {"doc": {"title": "dogs bark"}}, {"index": {"_id": "2"}}, {"title": "rain"}
    )
    await papers.direct("POST", f"/{papers.index}/_bulk", update)

    checked = await asyncio.to_thread(run, system, papers.index, "--check", "--json")
    repaired = await asyncio.to_thread(run, system, papers.index)
    rechecked = await asyncio.to_thread(run, system, papers.index, "--check", "--json")

    assert (checked.returncode, checked.stderr) == (1, "")
    (index,) = json.loads(checked.stdout)["indices"]
    assert (index["found"], index["left"]) == ({"pending": 1, "hash_differs": 1}, 2)
    assert (repaired.returncode, repaired.stderr) == (0, "")
    assert repaired.stdout.rstrip().endswith("all is right")
    assert rechecked.returncode == 0
    assert json.loads(rechecked.stdout)["right"] is True
    for name, text in (("1", "dogs bark"), ("2", "rain")):
        stored = await papers.stored(name)
        (expected,) = await embedder.encode([text], Role.PASSAGE, model="all-minilm-l6-v2@1")
        assert float(np.dot(stored["embedding"], expected)) >= 0.999999
        assert stored["embedding_meta"]["hash"] == provenance_hash(text, papers.binding)
    assert (await papers.stored("1"))["year"] == 1


async def test_watching_ends_cleanly_when_it_is_told_to(papers: Papers, system: dict[str, str]) -> None:
    await papers.direct("PUT", f"/{papers.index}/_doc/1", {"title": "cats purr"})
    command = [SIDECAR, "repair", papers.index, "--watch", "--json"]
    command += ["--cluster", system["cluster"], "--embedder", system["embedder"]]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    first = json.loads(await process.stdout.readline())
    process.send_signal(signal.SIGTERM)
    rest, said = await process.communicate()

    assert (first["right"], first["indices"][0]["repaired"]) == (True, 1)
    assert (process.returncode, rest, said) == (0, b"", b"")
    assert state_of(await papers.stored("1")) == "ok"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(["nowhere-at-all"], "no such index [nowhere-at-all]", id="an index that there is not"),
        pytest.param(
            ["--check", "--watch"], "--watch: cannot be combined with --check, which looks once", id="both modes"
        ),
    ],
)
def test_what_cannot_be_done_is_said(system: dict[str, str], arguments: list[str], sentence: str) -> None:
    done = run(system, *arguments)

    assert done.returncode == 2
    assert sentence in done.stderr
    assert done.stdout == ""
