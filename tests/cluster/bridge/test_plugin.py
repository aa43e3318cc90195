"""The REST API of the bridge, as clients use it."""

import pytest

from tests.cluster.bridge.searches.test_search_handler import filled  # noqa: F401 - fixtures
from tests.cluster.bridges import Papers


async def test_the_api_of_the_bridge(filled: Papers) -> None:
    root = await filled.bridge("GET", "/_plugins/_sidecar?pretty")
    models = await filled.bridge("GET", "/_plugins/_sidecar/models")
    bindings = await filled.bridge("GET", f"/_plugins/_sidecar/bindings/{filled.index}")
    stats = await filled.bridge("GET", "/_plugins/_sidecar/stats")
    embedded = await filled.bridge(
        "POST", "/_plugins/_sidecar/embed", {"texts": ["a", ""], "model": "all-minilm-l6-v2"}
    )
    unknown = await filled.bridge("GET", "/_plugins/_sidecar/nothing")

    assert root.json["state"] == "ready"
    assert root.body.startswith(b'{\n  "name"')
    assert models.json["models"][0]["id"] == "all-minilm-l6-v2@1"
    assert bindings.json["bindings"][filled.index]["fields"]["embedding"]["source"] == ["title", "abstract"]
    assert stats.json["ingest_texts"]["embedded"] >= 4
    first, empty = embedded.json["items"]
    assert (embedded.json["dimension"], len(first["vector"]), empty["vector"]) == (384, 384, None)
    assert "error" in empty
    assert (unknown.status, unknown.json["error"]["reason"]) == (
        400, "no handler found for uri [/_plugins/_sidecar/nothing] and method [GET]",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        pytest.param({"texts": []}, 400, "texts: List should have at least 1 item after validation, not 0", id="none"),
        pytest.param({"text": ["a"]}, 400, "texts: Field required", id="misspelt"),
        pytest.param({"texts": ["a"], "model": "x@1"}, 404,
                     "model [x@1] is not known here; known: all-minilm-l6-v2@1", id="unknown model"),
    ],
)  # fmt: skip
async def test_embedding_by_http_refuses_bad_input(papers: Papers, body: object, status: int, reason: str) -> None:
    answer = await papers.bridge("POST", "/_plugins/_sidecar/embed", body)

    assert (answer.status, answer.json["error"]["reason"]) == (status, reason)
