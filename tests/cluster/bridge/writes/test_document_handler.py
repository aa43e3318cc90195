"""Single writes through the bridge."""

import pytest

from tests.cluster.bridges import Papers
from tests.support.provenances import state_of


@pytest.mark.parametrize(
    ("method", "path"),
    [
        pytest.param("PUT", "_doc/1", id="put of a document"),
        pytest.param("POST", "_doc/1", id="post of a document"),
        pytest.param("PUT", "_create/1", id="create"),
    ],
)
async def test_single_documents(papers: Papers, method: str, path: str) -> None:
    await papers.without_guard()

    answer = await papers.bridge(method, f"/{papers.index}/{path}?refresh=true", b'{"title": "Cats",  "year":1.50}')

    assert answer.status == 201
    assert answer.ingested == (1, 0)
    raw = (await papers.direct("GET", f"/{papers.index}/_doc/1")).body
    assert b'{"title": "Cats",  "year":1.50,"embedding":[' in raw


async def test_a_document_without_an_id_gets_one_from_the_cluster(papers: Papers) -> None:
    answer = await papers.bridge("POST", f"/{papers.index}/_doc?refresh=true", {"title": "Cats"})

    assert answer.status == 201
    assert state_of(await papers.stored(answer.json["_id"])) == "ok"
