"""Real clients, unmodified: each writes in bulk, asks the README's question and reads a document back.

Their programs are in `tests/support/clients/`, one for each client, and print the same.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Callable

import pytest

from sidecar.rpc.client import EmbedderClient
from tests.cluster.bridges import Papers, expect_every_vector
from tests.support.programs import go, java, javascript, python, run

ANSWERS = {
    "bulk_failed": False,
    "question": ["Felines purr", "Dogs bark"],  # no word of the question is in a document
    "filtered": ["Dogs bark"],  # from 2002 on
    "counted": ["Felines purr"],  # with an aggregation over years …
    "years": [],  # … which is the lexical query's
    "several": [["Felines purr"], ["Dogs bark"]],  # the first two again, in an _msearch
    "hit": ["abstract", "title", "year"],
    "document": ["abstract", "title", "year"],
}


async def searches(papers: Papers) -> Counter[str]:
    """How many searches the bridge has answered in each way."""
    return Counter((await papers.bridge("GET", "/_plugins/_sidecar/stats")).json.get("searches", {}))


@pytest.mark.parametrize(
    ("program", "options"),
    [
        pytest.param(python, [], id="opensearch-py"),
        pytest.param(javascript, [], id="opensearch-js"),
        pytest.param(go, [], id="opensearch-go"),
        pytest.param(lambda: java("Typed"), [], id="opensearch-java"),
        pytest.param(lambda: java("HighLevel"), [], id="RestHighLevelClient"),
        pytest.param(lambda: java("Spring"), ["java"], id="Spring Data over opensearch-java"),
        pytest.param(lambda: java("Spring"), ["rest"], id="Spring Data over RestHighLevelClient"),
    ],
)
async def test_a_client_is_answered_by_meaning_and_sees_nothing_of_ours(
    papers: Papers, embedder: EmbedderClient, program: Callable[[], list[str]], options: list[str]
) -> None:
    command = await asyncio.to_thread(program)
    before = await searches(papers)

    printed = await asyncio.to_thread(run, [*command, papers.bridge.url, papers.index, *options])

    answers = json.loads(printed)
    builders = answers.pop("builders", [])
    assert answers == ANSWERS
    assert set(builders) <= {"Felines purr"}
    assert await searches(papers) - before == {"hybrid": 5 + len(builders)}
    await expect_every_vector(papers, embedder, count=3)
