"""The examples of docs/clients.md for searches: each runs as it stands there and prints what is shown there."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from sidecar.opensearch.client import OpenSearchCluster
from tests.support.folders import ROOT

PAGE = (ROOT / "docs/clients.md").read_text().partition("\n## Searching\n")[2]
INDICES = ("articles", "langchain", "haystack")
_TIMEOUT_S = 120


@dataclass(frozen=True, slots=True)
class Example:
    language: str
    code: str
    output: str

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-c", self.code] if self.language == "python" else ["bash", "-euc", self.code]


def examples() -> dict[str, Example]:
    """By section; those whose output the page shows."""
    found = {}
    for section in PAGE.split("\n### ")[1:]:
        pair = re.search(r"^```(python|sh)\n(.*?)^```\n\n```text\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
        if pair is not None:
            found[section.partition("\n")[0]] = Example(pair[1], pair[2], pair[3])
    return found


def run(command: list[str], system: dict[str, str]) -> str:
    here = [
        part.replace("http://localhost:9201", system["bridge"])
        .replace("localhost:9201", system["bridge"].removeprefix("http://"))
        .replace("http://localhost:8081", system["embedder_http"])
        for part in command
    ]
    environment = {**os.environ, "SIDECAR_CLUSTER_URL": system["cluster"], "HAYSTACK_TELEMETRY_ENABLED": "False"}
    done = subprocess.run(
        here, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def applied(system: dict[str, str]) -> None:
    """The templates that the page applies first."""
    (commands,) = re.findall(r"^```sh\n(.*?)^```$", PAGE.partition("\n### ")[0], re.MULTILINE | re.DOTALL)
    run(["bash", "-euo", "pipefail", "-c", commands], system)


@pytest.fixture
async def no_index(cluster: OpenSearchCluster) -> AsyncIterator[None]:
    """Leaves none of the page's indices behind."""
    yield
    for index in INDICES:
        await cluster.call("DELETE", f"/{index}", params={"ignore_unavailable": "true"})


async def test_each_example_prints_what_the_page_shows(applied: None, no_index: None, system: dict[str, str]) -> None:
    """In the order of the page: what one has written another searches."""
    found = examples()
    assert list(found) == ["opensearch-py", "LangChain", "Haystack", "curl"]
    for name, example in found.items():
        printed = await asyncio.to_thread(run, example.command, system)
        assert printed.strip() == example.output.strip(), name
