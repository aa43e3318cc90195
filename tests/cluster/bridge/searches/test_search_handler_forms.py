"""The forms in which a search may come: in the URL, several at once, as a template, through a pipeline."""

import json

import pytest

from sidecar.jsontext import Json
from tests.cluster.bridges import Papers
from tests.support.http import Answer, ndjson

DOCUMENTS = {
    "1": {"title": "Felines purr", "abstract": "A kitten makes this sound when it is content", "year": 2001},
    "2": {"title": "Dogs bark", "abstract": "A hound makes noise at strangers", "year": 2002},
    "3": {"title": "Interest rates", "abstract": "The central bank raised them to fight inflation", "year": 2003},
}
QUERY = {"match": {"title": "kitty noises"}}
HYBRID = "hybrid; model=all-minilm-l6-v2@1; fusion=min_max(0.5,0.5); where=cluster"


@pytest.fixture
async def one_shard(papers: Papers) -> Papers:
    """An index of one shard, whose template has a companion."""
    index = f"{papers.index}-one"
    made = await papers.direct("PUT", f"/{index}", {"settings": {"number_of_shards": 1}})
    assert made.status == 200
    lines = [line for identifier, source in DOCUMENTS.items() for line in ({"index": {"_id": identifier}}, source)]
    answer = await papers.bridge("POST", f"/{index}/_bulk?refresh=true", ndjson(*lines))
    assert answer.ingested == (3, 0) or answer.json["errors"] is False
    return Papers(papers.bridge, papers.direct, papers.admin, index, papers.binding)


def scores(answer: dict[str, Json]) -> list[tuple[str, float]]:
    return [(hit["_id"], hit["_score"]) for hit in answer["hits"]["hits"]]


def note(answer: Answer) -> str:
    return answer.headers["X-Sidecar-Search"]


@pytest.mark.parametrize("name", ["{index}", "{index}-alias"])
async def test_a_search_of_one_shard_takes_the_companion_along(one_shard: Papers, unique: str, name: str) -> None:
    action = {"add": {"index": one_shard.index, "alias": f"{one_shard.index}-alias"}}
    await one_shard.direct("POST", "/_aliases", {"actions": [action]})
    path = f"/{name.format(index=one_shard.index)}/_search"

    beside = await one_shard.bridge("POST", path, {"query": QUERY})
    assert (await one_shard.bridge("DELETE", f"/{unique}--companion")).status == 200
    alone = await one_shard.bridge("POST", path, {"query": QUERY})

    assert (note(beside), beside.json["_shards"]["total"]) == (f"{HYBRID}+companion", 2)
    assert (note(alone), alone.json["_shards"]["total"]) == (HYBRID, 1)
    assert beside.json["hits"] == alone.json["hits"]
    assert scores(beside.json)[0][0] == "1"


async def test_a_query_that_would_fail_on_the_companion_goes_without_it(one_shard: Papers) -> None:
    mapping = {"properties": {"parts": {"type": "nested", "properties": {"text": {"type": "text"}}}}}
    assert (await one_shard.bridge("PUT", f"/{one_shard.index}/_mapping", mapping)).status == 200
    nested = {"nested": {"path": "parts", "query": {"match": {"parts.text": "x"}}}}

    answer = await one_shard.bridge(
        "POST", f"/{one_shard.index}/_search", {"query": {"bool": {"must": [QUERY], "should": [nested]}}}
    )
    plain = await one_shard.bridge("POST", f"/{one_shard.index}/_search", {"query": QUERY})

    assert (note(answer), answer.json["_shards"]["failed"]) == (HYBRID, 0)
    assert note(plain) == f"{HYBRID}+companion"


async def test_a_companion_that_was_deleted_behind_the_bridge_costs_no_search(one_shard: Papers, unique: str) -> None:
    before = await one_shard.bridge("POST", f"/{one_shard.index}/_search", {"query": QUERY})
    assert (await one_shard.direct("DELETE", f"/{unique}--companion")).status == 200

    after = await one_shard.bridge("POST", f"/{one_shard.index}/_search", {"query": QUERY})
    several = await one_shard.bridge("POST", f"/{one_shard.index}/_msearch", ndjson({}, {"query": QUERY}))

    assert (after.status, note(after)) == (200, HYBRID)
    assert after.json["hits"] == before.json["hits"] == several.json["responses"][0]["hits"]


async def test_what_was_sent_is_shown_on_request(one_shard: Papers) -> None:
    answer = await one_shard.bridge("POST", f"/{one_shard.index}/_search", {"query": QUERY}, X_Sidecar_Explain="1")
    silent = await one_shard.bridge("POST", f"/{one_shard.index}/_search", {"query": QUERY})

    sent = json.loads(answer.headers["X-Sidecar-Explain"])
    assert sent["body"]["query"]["hybrid"]["queries"][0] == QUERY
    assert sent["body"]["query"]["hybrid"]["queries"][1]["knn"]["embedding"]["vector"] == "[384 numbers]"
    assert "X-Sidecar-Explain" not in silent.headers


async def test_a_query_in_the_url_is_searched_by_meaning(one_shard: Papers) -> None:
    url = await one_shard.bridge("GET", f"/{one_shard.index}/_search?q=kitty+noises&df=title&size=2")
    body = {"query": {"query_string": {"query": "kitty noises", "default_field": "title"}}, "size": 2}
    posted = await one_shard.bridge("POST", f"/{one_shard.index}/_search", body)

    assert note(url) == note(posted) == f"{HYBRID}+companion"
    assert url.json["hits"] == posted.json["hits"]


async def test_a_post_filter_holds_in_both_legs(one_shard: Papers) -> None:
    body = {"query": {"match": {"abstract": "noise sound"}}, "post_filter": {"range": {"year": {"gte": 2002}}}}

    answer = await one_shard.bridge("POST", f"/{one_shard.index}/_search", body)

    assert note(answer).startswith("hybrid")
    assert sorted(identifier for identifier, _ in scores(answer.json)) == ["2", "3"]


async def test_neural_works_wherever_a_query_may_stand(one_shard: Papers) -> None:
    clause: dict[str, object] = {"neural": {"embedding": {"query_text": "pet noises", "k": 2}}}
    everything = {"match_all": {}}
    queries: list[dict[str, object]] = [
        {"query": {"function_score": {"query": clause, "weight": 2}}},
        {"query": {"script_score": {"query": clause, "script": {"source": "_score * 2"}}}},
        {"query": {"constant_score": {"filter": clause}}},
        {"query": {"dis_max": {"queries": [clause]}}},
        {"query": everything, "post_filter": clause},
        {"query": {"bool": {"must_not": [{"bool": {"must_not": [clause]}}]}}},
    ]
    rescored = {"query": everything, "rescore": {"query": {"rescore_query": clause, "query_weight": 0}}, "size": 2}

    answer = await one_shard.bridge(
        "POST",
        f"/{one_shard.index}/_msearch",
        ndjson(*(line for query in [*queries, rescored] for line in ({}, query))),
    )

    assert note(answer) == "msearch; neural=7"
    assert [{i for i, _ in scores(item)} for item in answer.json["responses"]] == [{"1", "2"}] * 7


async def test_a_search_that_does_not_parse_is_the_clusters_to_refuse(one_shard: Papers) -> None:
    wrong = {"query": {"bool": {"must": [QUERY], "filter": [{"rang": {}}]}}}
    lines = ndjson({}, {"query": QUERY}, {}, wrong)

    through = await one_shard.bridge("POST", f"/{one_shard.index}/_msearch", lines)
    direct = await one_shard.direct("POST", f"/{one_shard.index}/_msearch", lines)

    assert (through.status, through.json) == (direct.status, direct.json) == (400, direct.json)
    assert note(through) == "msearch; lexical=2"


async def test_a_pipeline_of_the_index_is_kept(one_shard: Papers, unique: str) -> None:
    weighing = {
        "request_processors": [{"neural_query_enricher": {"default_model_id": "some"}}],
        "phase_results_processors": [
            {"normalization-processor": {"combination": {"technique": "arithmetic_mean", "parameters": {"weights": [0.1, 0.9]}}}}
        ],
    }  # fmt: skip
    path = f"/{one_shard.index}/_search"
    assert (await one_shard.direct("PUT", f"/_search/pipeline/{unique}-own", weighing)).status == 200
    setting = {"index.search.default_pipeline": f"{unique}-own"}

    named = await one_shard.bridge("POST", f"{path}?search_pipeline={unique}-own", {"query": QUERY})
    inline = await one_shard.bridge("POST", path, {"query": QUERY, "search_pipeline": weighing})
    assert (await one_shard.bridge("PUT", f"/{one_shard.index}/_settings", setting)).status == 200
    default = await one_shard.bridge("POST", path, {"query": QUERY})
    several = await one_shard.bridge("POST", f"/{one_shard.index}/_msearch", ndjson({}, {"query": QUERY}))
    none = await one_shard.bridge("POST", f"{path}?search_pipeline=_none", {"query": QUERY})

    own = HYBRID.replace("min_max(0.5,0.5)", "own") + "+companion"
    assert (note(named), note(inline), note(default), note(none)) == (own, own, own, f"{HYBRID}+companion")
    assert scores(named.json)[0] == ("1", pytest.approx(0.9))
    assert named.json["hits"] == inline.json["hits"] == default.json["hits"] == several.json["responses"][0]["hits"]
    assert scores(none.json)[0] == ("1", pytest.approx(0.5))
    await one_shard.direct("PUT", f"/{one_shard.index}/_settings", {"index.search.default_pipeline": "_none"})
    await one_shard.direct("DELETE", f"/_search/pipeline/{unique}-own")


async def test_a_pipeline_that_does_not_fuse_gets_ours_beside_it(one_shard: Papers) -> None:
    own = {"request_processors": [{"neural_query_enricher": {"default_model_id": "some"}}]}

    answer = await one_shard.bridge("POST", f"/{one_shard.index}/_search", {"query": QUERY, "search_pipeline": own})

    assert note(answer) == f"{HYBRID}+companion"
    assert scores(answer.json)[0] == ("1", pytest.approx(0.5))
