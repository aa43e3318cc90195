"""Points in time and groups, fused in the bridge on a real node: pages that hold still, one hit of each group."""

from collections.abc import AsyncIterator

import pytest

from sidecar.model import Fusion
from sidecar.opensearch.client import OpenSearchCluster
from tests.support.corpus import DOCUMENTS, WINDOW, Corpus, corpus, ids, processor, same
from tests.support.http import ndjson

FUSION = Fusion(weights=(0.3, 0.7))  # so that the best of both legs do not tie
EVERYTHING = 3 * DOCUMENTS


@pytest.fixture(params=[(1,), (3,), (2, 1)], ids=["one shard", "three shards", "two indices"])
async def documents(request: pytest.FixtureRequest, cluster: OpenSearchCluster, unique: str) -> AsyncIterator[Corpus]:
    """For one test alone."""
    async with corpus(cluster, unique, *request.param) as made:
        yield made
        await cluster.call("DELETE", f"/{unique}-*")


async def point(documents: Corpus) -> dict[str, str]:
    answer = await documents.call("POST", f"/{documents.expression}/_search/point_in_time?keep_alive=2m")
    return {"id": answer["pit_id"], "keep_alive": "2m"}


async def test_deep_pages_of_a_point_in_time_hold_still_beside_changes(documents: Corpus) -> None:
    legs, pit = documents.legs(), await point(documents)
    cluster = await documents.in_cluster(legs, processor(FUSION), pit=pit, size=EVERYTHING, _source=False)
    options = {"pit": pit, "path": "/_search", "_source": False}
    whole = await documents.in_bridge(legs, FUSION, size=EVERYTHING, **options)
    pages: list[str] = []
    for start in range(0, EVERYTHING + 31, 31):
        index = documents.shards[start % len(documents.shards)].index
        lines = [{"delete": {"_id": found}} for found in ids(whole)[start : start + 3]]
        await documents.call("POST", f"/{index}/_bulk", ndjson(*lines, {"delete": {"_id": "0"}}))
        await documents.write(index, range(start, start + 10))
        page = await documents.in_bridge(legs, FUSION, size=31, **{"from": start}, **options)
        pages += ids(page)

    assert pages == ids(whole)
    assert len(set(pages)) == len(pages) > len(cluster["hits"]["hits"]) >= WINDOW
    first = len(cluster["hits"]["hits"])
    assert same(whole["hits"]["hits"][:first], cluster["hits"]["hits"])
    assert whole["pit_id"] == cluster["pit_id"] == pit["id"]
    assert (list(whole), whole["_shards"]) == (list(cluster), cluster["_shards"])


async def test_a_point_in_time_that_is_over_is_the_clusters_to_tell(documents: Corpus) -> None:
    pit = await point(documents)
    assert (await documents.node.call("DELETE", "/_search/point_in_time", body={"pit_id": [pit["id"]]})).ok

    over = await documents.answer(documents.legs(), FUSION, path="/_search", pit=pit)

    assert over.status == 404
    assert over.body["error"]["root_cause"][0]["type"] == "search_context_missing_exception"


def first_of_each(hits: list[dict]) -> list[dict]:
    """The reference: of each year, and of what has none, the best."""
    best: dict[object, dict] = {}
    for hit in hits:
        best.setdefault(hit["_source"].get("year"), hit)
    return list(best.values())


async def without_years(documents: Corpus) -> None:
    index = documents.shards[0].index
    sources = [{"title": documents.text(12), "embedding": documents.vector()} for _ in range(20)]
    lines = [line for i, source in enumerate(sources) for line in ({"index": {"_id": f"none{i}"}}, source)]
    await documents.call("POST", f"/{index}/_bulk?refresh=true", ndjson(*lines))


async def test_the_best_of_each_group_is_shown(documents: Corpus) -> None:
    await without_years(documents)
    collapse = {"collapse": {"field": "year"}}
    for start in (0, 2):
        legs = documents.legs()
        whole = await documents.in_bridge(legs, FUSION, size=EVERYTHING)
        expected = first_of_each(whole["hits"]["hits"])[start : start + 3]

        found = await documents.in_bridge(legs, FUSION, size=3, **{"from": start}, **collapse)
        lexical = await documents.call("POST", f"/{documents.expression}/_search", {"query": legs[0], **collapse})

        years = [{"year": [hit["_source"]["year"]]} if "year" in hit["_source"] else None for hit in expected]
        assert [hit.pop("fields", None) for hit in found["hits"]["hits"]] == years
        assert found["hits"]["hits"] == expected
        assert found["hits"]["max_score"] == whole["hits"]["max_score"]
        assert found["hits"]["total"] == whole["hits"]["total"]
        assert {*lexical["hits"]["hits"][0]} - {"fields"} == {*found["hits"]["hits"][0]}


async def test_a_page_of_groups_looks_as_deep_as_it_must(documents: Corpus) -> None:
    await without_years(documents)
    legs = documents.legs()
    collapse = {"collapse": {"field": "year"}}
    few = await documents.in_bridge(legs, FUSION, size=3, **collapse)
    all_of_them = await documents.in_bridge(legs, FUSION, size=50, **collapse)

    assert [hit.get("fields") for hit in all_of_them["hits"]["hits"][:3]] == [
        hit.get("fields") for hit in few["hits"]["hits"]
    ]
    groups = [str(hit.get("fields")) for hit in all_of_them["hits"]["hits"]]
    assert sorted(groups) == sorted({str({"year": [year]}) for year in range(2000, 2010)} | {"None"})
