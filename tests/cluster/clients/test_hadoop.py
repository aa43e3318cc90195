"""The bulk client of opensearch-hadoop (Spark) under faults of the cluster: through the bridge as without it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sidecar.bridge.app import serving
from sidecar.models.catalogue import shipped_versions
from tests.cluster.bridges import Papers
from tests.support.between import bridge_settings, broken_promises, stored
from tests.support.embedders import HashEmbedder
from tests.support.programs import java, run
from tests.support.scripted import Dropped, Given, scripted

ROWS, IN_A_BULK = 1_200, 100
_ERROR = {"type": "rejected_execution_exception", "reason": "rejected execution of coordinating operation"}
FULL = 429, json.dumps({"error": _ERROR, "status": 429}).encode()
NO_MASTER = 503, b'{"error":{"type":"cluster_block_exception","reason":"blocked by: [no master]"},"status":503}'
EACH_FULL = (
    200,
    json.dumps(
        {
            "took": 1,
            "errors": True,
            "items": [{"index": {"_index": "i", "_id": "1", "status": 429, "error": _ERROR}}] * IN_A_BULK,
        }
    ).encode(),
)
EMBEDDER = HashEmbedder(shipped_versions()["all-minilm-l6-v2@1"])


@asynccontextmanager
async def cluster_with(papers: Papers, fault: Given, *, is_direct: bool) -> AsyncIterator[str]:
    """The address that the client is given; the third bulk of those that the cluster gets meets the fault."""
    async with scripted(papers.direct.url) as cluster:
        cluster.answers.extend((None, None, fault))
        if is_direct:
            yield cluster.url
        else:
            async with serving(bridge_settings(cluster.url), EMBEDDER) as at:
                yield f"http://{at.address}"


async def written(papers: Papers, index: str, fault: Given, *, is_direct: bool) -> tuple[str, int]:
    """How the client ended, in its own words, and how many rows the index has then."""
    command = await asyncio.to_thread(java, "Hadoop")
    async with cluster_with(papers, fault, is_direct=is_direct) as url:
        printed = await asyncio.to_thread(run, [*command, url, index, str(ROWS)])
    documents = await stored(papers.direct, index)
    if not is_direct:
        assert broken_promises(documents, papers.binding, EMBEDDER) == []
    return json.loads(printed)["outcome"].replace(url.removeprefix("http://"), "HOST"), len(documents)


@pytest.mark.parametrize(
    ("fault", "ends_with", "rows"),
    [
        pytest.param(Dropped.AFTER, "written", ROWS, id="lost after it was carried out"),
        pytest.param(Dropped.BEFORE, "written", ROWS, id="lost before"),
        pytest.param(EACH_FULL, "written", ROWS, id="429 for each item"),
        pytest.param(FULL, "EsHadoopInvalidRequest", None, id="429 for the whole request"),
        pytest.param(NO_MASTER, "EsHadoopInvalidRequest", None, id="503"),
    ],
)
async def test_the_client_ends_as_it_would_without_the_bridge(
    papers: Papers, unique: str, fault: Given, ends_with: str, rows: int | None
) -> None:
    direct = await written(papers, f"{unique}-plain", fault, is_direct=True)
    through = await written(papers, papers.index, fault, is_direct=False)

    assert through == direct
    assert direct[0].startswith(ends_with)
    assert rows in (direct[1], None)
