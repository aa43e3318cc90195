"""What a client asks of one search, on the real node with the real model; and the budget that an embedder has."""

import time
from collections.abc import Callable

import pytest
from prometheus_client import REGISTRY

from sidecar.models.catalogue import shipped_versions
from tests.cluster.bridges import Papers, ReadOnly
from tests.support.between import Between, between
from tests.support.faults import Faults
from tests.support.http import ndjson

MINILM = shipped_versions()["all-minilm-l6-v2@1"]
MODEL = f"hybrid; model={MINILM.id}"
DOCUMENTS = {"1": "Felines purr", "2": "Dogs bark", "3": "Interest rates", "4": "Cat allergies"}
QUERY = {"query": {"match": {"title": "cat sound"}}}
BUDGET_S = 1.0
SLACK_S = 20.0  # of a busy machine, for two look-ups and the search itself; without a budget it would hang


@pytest.fixture
async def filled(read_only: ReadOnly) -> Papers:
    return await read_only("options-of-requests", {name: {"title": title} for name, title in DOCUMENTS.items()})


async def scores(papers: Papers, query: str = "", **headers: str) -> tuple[str, dict[str, float]]:
    answer = await papers.bridge("POST", f"/{papers.index}/_search{query}", QUERY, **headers)
    assert answer.status == 200, answer.body
    return answer.headers["X-Sidecar-Search"], {hit["_id"]: hit["_score"] for hit in answer.json["hits"]["hits"]}


async def test_weights_and_fusion_of_one_request(filled: Papers) -> None:
    _, lexical = await scores(filled, "?sidecar=lexical")
    _, plain = await scores(filled)
    note, weighed = await scores(filled, "?sidecar_weights=1,0&pretty=false")
    by_header, same = await scores(filled, X_Sidecar_Weights="1,0")
    harmonic, _ = await scores(filled, "?sidecar_fusion=l2:harmonic_mean&sidecar_k=200&sidecar_window=50")
    ranks, ranked = await scores(filled, "?sidecar_fusion=rrf", X_Sidecar_Weights="0.5,0.5")
    in_bridge, _ = await scores(filled, "?sidecar_fusion=z_score")
    by_model, of_model = await scores(filled, f"?sidecar_model={MINILM.id}")

    assert note == by_header == f"{MODEL}; fusion=min_max(1,0); where=cluster"
    assert weighed == same != plain
    assert {name for name, score in weighed.items() if score > 0} == set(lexical)
    assert harmonic == f"{MODEL}; fusion=l2:harmonic_mean(0.5,0.5); where=cluster; k=200; window=50"
    assert ranks == f"{MODEL}; fusion=rrf; where=cluster"
    assert max(ranked.values()) <= 2 / 61
    assert in_bridge == f"{MODEL}; fusion=z_score(0.5,0.5); where=bridge"
    assert (by_model, of_model) == (f"{MODEL}; fusion=min_max(0.5,0.5); where=cluster", plain)


@pytest.mark.parametrize("path", ["_search", "_msearch"])
@pytest.mark.parametrize(
    ("query", "reason"),
    [
        pytest.param("sidecar_k=0", "sidecar_k: Input should be greater than or equal to 1; got [0]", id="k"),
        pytest.param("sidecar=off&sidecar_weights=1,1",
                     "sidecar_weights: weights must not be negative and must add up to 1; got [1,1]", id="weights"),
    ],
)  # fmt: skip
async def test_a_bad_value_is_refused_before_anything_is_sent(
    papers: Papers, path: str, query: str, reason: str
) -> None:
    body = QUERY if path == "_search" else ndjson({"index": papers.index}, QUERY)

    answer = await papers.bridge("POST", f"/{papers.index}/{path}?{query}", body)

    assert (answer.status, answer.json["status"], answer.json["error"]["reason"]) == (400, 400, reason)


async def test_a_model_version_that_the_index_does_not_have_is_refused(papers: Papers) -> None:
    answer = await papers.bridge("POST", f"/{papers.index}/_search?sidecar_model=x@2", QUERY)

    there = f"embedding: {MINILM.id}"
    assert (answer.status, answer.json["error"]["reason"]) == (
        400,
        f"sidecar_model: must be the model of one vector field of index [{papers.index}] ({there}); got [x@2]",
    )


async def test_wishes_hold_for_every_search_of_an_msearch(filled: Papers) -> None:
    body = ndjson({"index": filled.index}, QUERY, {}, QUERY)

    answer = await filled.bridge("POST", f"/{filled.index}/_msearch?sidecar_weights=1,0", body)

    _, alone = await scores(filled, "?sidecar_weights=1,0")
    for found in answer.json["responses"]:
        assert {hit["_id"]: hit["_score"] for hit in found["hits"]["hits"]} == alone


def hangs(at: Between) -> None:
    at.to_embedder.set(to_client=Faults(stall_after=0))


def is_slow(at: Between) -> None:
    at.stub.may_answer.clear()


def is_dead(at: Between) -> None:
    at.to_embedder.refuse()


@pytest.mark.parametrize("is_connected", [pytest.param(True, id="connected"), pytest.param(False, id="cold")])
@pytest.mark.parametrize(
    ("fail", "reason"),
    [
        pytest.param(hangs, "embedder_deadline", id="hangs"),
        pytest.param(is_slow, "embedder_deadline", id="is slow"),
        pytest.param(is_dead, "embedder_unavailable", id="is dead"),
    ],
)
async def test_an_embedder_that_fails_holds_a_search_up_no_longer_than_its_budget(
    filled: Papers, fail: Callable[[Between], None], reason: str, *, is_connected: bool
) -> None:
    labels = {"mode": "lexical", "reason": reason}
    async with between(filled.direct.url, MINILM, search_embed_timeout_s=BUDGET_S) as at:
        if is_connected:
            await at.bridge("POST", f"/{filled.index}/_search", QUERY)
        counted = REGISTRY.get_sample_value("sidecar_bridge_searches_total", labels) or 0
        fail(at)
        started = time.monotonic()
        answer = await at.bridge("POST", f"/{filled.index}/_search", {"query": {"match": {"title": "dogs"}}})
        took_s = time.monotonic() - started
        at.stub.may_answer.set()

    assert answer.headers["X-Sidecar-Search"] == f"lexical; reason={reason}"
    assert [hit["_id"] for hit in answer.json["hits"]["hits"]] == ["2"]
    assert took_s < BUDGET_S + SLACK_S
    assert REGISTRY.get_sample_value("sidecar_bridge_searches_total", labels) == counted + 1


async def test_a_neural_search_of_an_msearch_that_cannot_be_answered_fails_alone(filled: Papers) -> None:
    def neural(**clause: object) -> dict[str, object]:
        return {"query": {"neural": {"embedding": {"query_text": "pets", **clause}}}}

    bad = [neural(query_image="x"), neural(model_id="x@2"), neural(k="many"), neural(k=0)]
    lines = [line for search in (QUERY, bad[0], neural(k=1), *bad[1:]) for line in ({}, search)]

    answer = await filled.bridge("POST", f"/{filled.index}/_msearch", ndjson(*lines))
    alone = await filled.bridge("POST", f"/{filled.index}/_search", bad[3])
    nothing_else = await filled.bridge("POST", f"/{filled.index}/_msearch", ndjson({}, bad[0]))

    text, image, well, *others = answer.json["responses"]
    assert (answer.status, answer.headers["X-Sidecar-Search"]) == (200, "msearch; hybrid=1; neural=1; refused=4")
    assert [found["status"] for found in answer.json["responses"]] == [200, 400, 200, 400, 400, 400]
    assert (len(text["hits"]["hits"]), len(well["hits"]["hits"])) == (4, 2)  # one of each shard
    assert image["error"]["reason"] == f"neural.embedding.query_image: model [{MINILM.id}] embeds text only"
    assert "[x@2] is not the model" in others[0]["error"]["reason"]
    assert others[1]["error"]["reason"] == "neural.embedding.k: must be an integer from 1 to 10000; got [many]"
    assert (alone.status, alone.json) == (400, others[2])
    assert nothing_else.json["responses"] == [image]
