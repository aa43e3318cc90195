"""Case 15: odd forms of the same write. Each document has its vector, or the answer is the cluster's own."""

import pytest

from tests.cluster.bridges import Papers
from tests.support.http import ndjson
from tests.support.provenances import state_of

LINES = ndjson({"index": {"_id": "1"}}, {"title": "Cats"})
JSON = "application/json"


@pytest.mark.parametrize(
    ("method", "path", "content_type"),
    [
        pytest.param("POST", "/{index}/_bulk///", JSON, id="slashes at the end"),
        pytest.param("POST", "/{index}/_bulk?", JSON, id="an empty query"),
        pytest.param("PUT", "/{index}/_bulk", JSON, id="PUT"),
        pytest.param("POST", "/{index}/_bulk", "Application/X-NDJSON", id="upper case"),
        pytest.param("POST", "/{index}/_bulk", "application/x-ndjson; charset=UTF-8", id="a parameter"),
        pytest.param("POST", "//{index}/_bulk", JSON, id="an empty part before"),
        pytest.param("POST", "/{index}//_bulk", JSON, id="an empty part between"),
        pytest.param("POST", "/{index}/%5Fbulk", JSON, id="an encoded name"),
        pytest.param("POST", "/{index}/_bulk/stream", JSON, id="the stream"),
        pytest.param("POST", "/%74{rest}/_bulk", JSON, id="an encoded index"),
        pytest.param("GET", "/{index}/_bulk", JSON, id="GET"),
        pytest.param("post", "/{index}/_bulk", JSON, id="a method in lower case"),
        pytest.param("POST", "/{index}/_bulk", "text/plain", id="plain text"),
        pytest.param("POST", "/{index}/_bulk", "", id="no content type"),
        pytest.param("POST", "/{index}/_bulk", "application/smile", id="SMILE"),
    ],
)
async def test_case_15_a_write_has_its_vector_or_is_answered_by_the_cluster(
    papers: Papers, method: str, path: str, content_type: str
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    plain = papers.index.replace("papers", "plain")

    def at(index: str) -> str:
        return path.format(index=index, rest=index[1:])

    through = await papers.bridge.request(method, at(papers.index), LINES, headers)
    direct = await papers.direct.request(method, at(plain), LINES, headers)

    assert through.status == direct.status
    await papers.direct("POST", f"/{papers.index}/_refresh")
    found = (await papers.direct("GET", f"/{papers.index}/_search?_source=true")).json["hits"]["hits"]
    for hit in found:
        assert state_of(hit["_source"]) in ("ok", "pending")
    if through.status == 200:
        assert [hit["_id"] for hit in found] == ["1"]
