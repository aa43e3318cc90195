"""Pages of one query on an index that nobody writes: one total, and every document that it counts on exactly one page."""

import random
from typing import Any

import pytest

from tests.cluster.bridges import Papers, ReadOnly
from tests.support.http import ndjson

WORDS = [
    "cat",
    "dog",
    "bird",
    "fish",
    "tree",
    "rock",
    "star",
    "moon",
    "sun",
    "sea",
    "car",
    "bus",
    "train",
    "plane",
    "bike",
    "road",
    "house",
    "door",
    "wall",
    "roof",
    "king",
    "queen",
    "prince",
    "knight",
    "sword",
    "shield",
    "book",
    "page",
    "word",
    "line",
]
DRAWN = random.Random(3)
DOCUMENTS = {str(n): {"title": " ".join(DRAWN.sample(WORDS, 5)), "year": n % 7} for n in range(400)}
QUERY = {"match": {"title": "cat knight"}}  # more matches than the window, and most of them with equal scores
AGGREGATIONS = {"years": {"terms": {"field": "year"}}}  # the bridge fuses beside them
EVERYTHING = 1_000


@pytest.fixture(params=[1, 3], ids=["one shard", "three shards"])
async def filled(request: pytest.FixtureRequest, read_only: ReadOnly) -> Papers:
    shards = {"settings": {"number_of_shards": request.param}}
    return await read_only(f"pages-of-{request.param}", DOCUMENTS, shards)


async def search(papers: Papers, parameters: str = "", **options: Any) -> tuple[dict[str, Any], str]:
    body = {"query": QUERY, "_source": False, **options}
    path = "/_search" if "pit" in options else f"/{papers.index}/_search"
    answer = await papers.bridge("POST", path + parameters, body)
    assert answer.status == 200, answer.body
    return answer.json["hits"], answer.headers["X-Sidecar-Search"]


async def pages(papers: Papers, size: int, **options: Any) -> list[tuple[dict[str, Any], str]]:
    """Page after page, up to one behind the last."""
    found = []
    while not found or found[-1][0]["hits"]:
        found.append(await search(papers, size=size, **{"from": size * len(found), **options}))
        assert size * len(found) <= EVERYTHING
    return found


def ids(hits: dict[str, Any]) -> list[str]:
    return [hit["_id"] for hit in hits["hits"]]


@pytest.mark.parametrize("options", [{}, {"aggs": AGGREGATIONS}], ids=["plain", "fused in the bridge"])
@pytest.mark.parametrize("size", [10, 33, 100])
async def test_all_pages_have_one_total_and_each_document_once(
    filled: Papers, size: int, options: dict[str, Any]
) -> None:
    whole, _ = await search(filled, size=EVERYTHING)
    found = await pages(filled, size, **options)

    assert all(note.startswith("hybrid; ") for _, note in found)
    assert {str(hits["total"]) for hits, _ in found} == {str(whole["total"])}
    assert whole["total"] == {"value": len(set(ids(whole))), "relation": "eq"}
    assert [identifier for hits, _ in found for identifier in ids(hits)] == ids(whole)
    scores = [hit["_score"] for hits, _ in found for hit in hits["hits"]]
    assert scores == sorted(scores, reverse=True)
    assert {hits["max_score"] for hits, _ in found if hits["hits"]} == {scores[0]}


@pytest.mark.parametrize("counted", [True, False, 0, 50, 130, EVERYTHING])
async def test_the_total_does_not_depend_on_the_page(filled: Papers, counted: bool | int) -> None:
    whole, _ = await search(filled, size=EVERYTHING, track_total_hits=True)
    exact = whole["total"]["value"]
    assert exact == len(ids(whole)) > 130
    asked = [(0, 1), (0, 10), (0, 150), (0, 400), (90, 10), (95, 10), (100, 10), (exact - 1, 10), (exact, 10), (401, 1)]
    answers = [await search(filled, track_total_hits=counted, **{"from": f, "size": size}) for f, size in asked]

    expected: object = {"value": exact, "relation": "eq"}
    if counted is False:
        expected = None
    elif counted is not True and counted < exact:
        expected = {"value": counted, "relation": "gte"}
    assert [hits.get("total") for hits, _ in answers] == [expected] * len(asked)
    assert [ids(hits) for hits, _ in answers] == [ids(whole)[f : f + size] for f, size in asked]


async def test_the_pages_of_an_msearch_and_of_a_point_in_time_are_the_same(filled: Papers) -> None:
    starts = [0, 60, 95, 100, 120]
    plain = [(await search(filled, **{"from": start}))[0] for start in starts]
    lines = [line for start in starts for line in ({}, {"query": QUERY, "from": start, "_source": False})]
    several = await filled.bridge("POST", f"/{filled.index}/_msearch", ndjson(*lines))
    made = await filled.bridge("POST", f"/{filled.index}/_search/point_in_time?keep_alive=1m")
    pit = {"id": made.json["pit_id"]}
    points = [(await search(filled, pit=pit, **{"from": start}))[0] for start in starts]
    await filled.direct("DELETE", "/_search/point_in_time", {"pit_id": [pit["id"]]})

    expected = [(hits["total"], ids(hits)) for hits in plain]
    assert [(item["hits"]["total"], ids(item["hits"])) for item in several.json["responses"]] == expected
    assert [(hits["total"], ids(hits)) for hits in points] == expected


@pytest.mark.parametrize("parameters", ["?preference=_shards:0,1,2", "?preference=_shards:0,1,2&sidecar_window=30"])
async def test_where_the_bridge_cannot_fuse_pages_end_with_the_candidates(read_only: ReadOnly, parameters: str) -> None:
    filled = await read_only("pages-of-3", DOCUMENTS, {"settings": {"number_of_shards": 3}})
    answers = [await search(filled, parameters, **{"from": start}) for start in range(0, 400, 10)]
    shown = [identifier for hits, _ in answers for identifier in ids(hits)]

    assert all("where=cluster" in note for _, note in answers)
    assert len({str(hits["total"]) for hits, _ in answers}) == 1
    assert answers[0][0]["total"]["value"] >= len(shown) == len(set(shown)) >= 30
    assert answers[-1][0]["hits"] == []


async def test_in_an_msearch_an_error_beside_a_page_behind_the_last_hit_stays_an_error(filled: Papers) -> None:
    wrong = {"query": QUERY, "from": 1, "highlight": {"fields": {"title": {"type": "none"}}}}
    lines = [line for body in ({"query": QUERY, "from": 400}, wrong) for line in ({}, body)]
    several = await filled.bridge("POST", f"/{filled.index}/_msearch", ndjson(*lines))

    assert [item["status"] for item in several.json["responses"]] == [200, 400]


async def test_pages_of_a_search_by_meaning_alone_end_with_its_neighbours(filled: Papers) -> None:
    shards = int(filled.index.split("-")[2])
    answers = [(await search(filled, "?sidecar=semantic", **{"from": f}))[0] for f in range(0, 400, 10)]
    shown = [identifier for hits in answers for identifier in ids(hits)]

    assert {hits["total"]["value"] for hits in answers} == {min(400, 100 * shards)} == {len(shown)}
    assert len(set(shown)) == len(shown)


async def test_neighbours_beyond_the_window_are_shown_behind_it(filled: Papers) -> None:
    deep = "?sidecar_window=20&sidecar_k=60"
    first, note = await search(filled, deep)
    whole, _ = await search(filled, deep, size=EVERYTHING)
    second, _ = await search(filled, deep, **{"from": 10})

    assert note.endswith("where=cluster; k=60; window=20") or "cluster+companion; k=60; window=20" in note
    assert first["total"] == second["total"] == whole["total"] == {"value": len(ids(whole)), "relation": "eq"}
    assert ids(first) + ids(second) == ids(whole)[:20]
