"""Several searches at once."""

import pytest

from tests.cluster.bridge.searches.test_search_handler_forms import (
    QUERY,
    note,
    one_shard,  # noqa: F401 - fixtures
    scores,
)
from tests.cluster.bridges import Papers
from tests.support.http import ndjson


async def test_an_msearch_loses_its_companion_too(one_shard: Papers, unique: str) -> None:
    first = await one_shard.bridge("POST", f"/{one_shard.index}/_msearch", ndjson({}, {"query": QUERY}))
    assert (await one_shard.direct("DELETE", f"/{unique}--companion")).status == 200

    second = await one_shard.bridge("POST", f"/{one_shard.index}/_msearch", ndjson({}, {"query": QUERY}))

    assert (note(first), note(second)) == ("msearch; hybrid=1", "msearch; hybrid=1")
    assert first.json["responses"][0]["_shards"]["total"] == 2
    assert first.json["responses"][0]["hits"] == second.json["responses"][0]["hits"]


async def test_several_searches_at_once_answer_as_each_alone(one_shard: Papers) -> None:
    index, path = one_shard.index, f"/{one_shard.index}/_search"
    neural = {"query": {"neural": {"embedding": {"query_text": "pet noises", "k": 1}}}}
    searches: list[dict[str, object]] = [
        {"query": QUERY, "size": 2},
        {"query": {"match_all": {}}},
        neural,
        {"query": QUERY},
    ]
    headers: list[object] = [{"index": index}, {}, b"", {"index": [index], "preference": "_local"}]

    several = await one_shard.bridge(
        "POST", f"/{index}/_msearch", ndjson(*(line for pair in zip(headers, searches, strict=True) for line in pair))
    )
    alone = [await one_shard.bridge("POST", path, search) for search in searches]

    assert note(several) == "msearch; hybrid=2; neural=1; lexical=1"
    assert [item["hits"] for item in several.json["responses"]] == [answer.json["hits"] for answer in alone]


async def test_an_item_that_the_cluster_refuses_gets_the_clusters_own_answer(one_shard: Papers) -> None:
    wrong = {"query": {"bool": {"must": [QUERY], "filter": [{"range": {"year": {"gte": "yesterday"}}}]}}}
    lines = ndjson({}, {"query": QUERY, "size": 1}, {}, {**wrong, "_source": False})

    through = await one_shard.bridge("POST", f"/{one_shard.index}/_msearch", lines)
    direct = await one_shard.direct("POST", f"/{one_shard.index}/_msearch", lines)

    assert note(through) == "msearch; hybrid=1; lexical=1"
    assert through.json["responses"][1] == direct.json["responses"][1]
    assert scores(through.json["responses"][0])[0][0] == "1"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{}\n{"query":{"match":{"title":"kitty"}}}', id="no newline at the end"),
        pytest.param(b'{"unknown":1}\n{"query":{"match_all":{}}}\n', id="unknown key in a header"),
        pytest.param(b"{}\n", id="no search"),
        pytest.param(b"{}\n{\n", id="a search that is not JSON"),
    ],
)
async def test_what_the_cluster_refuses_of_an_msearch_it_refuses_itself(one_shard: Papers, body: bytes) -> None:
    through = await one_shard.bridge("POST", f"/{one_shard.index}/_msearch", body)
    direct = await one_shard.direct("POST", f"/{one_shard.index}/_msearch", body)

    assert (through.status, {**through.json, "took": 0}) == (direct.status, {**direct.json, "took": 0})


async def test_an_msearch_may_be_asked_to_stay_lexical_or_as_it_came(one_shard: Papers) -> None:
    lines = ndjson({}, {"query": QUERY})

    lexical = await one_shard.bridge("POST", f"/{one_shard.index}/_msearch", lines, X_Sidecar_Mode="lexical")
    off = await one_shard.bridge("POST", f"/{one_shard.index}/_msearch?sidecar=off", lines)

    assert note(lexical) == "msearch; lexical=1"
    assert lexical.json["responses"][0]["hits"] == off.json["responses"][0]["hits"]
