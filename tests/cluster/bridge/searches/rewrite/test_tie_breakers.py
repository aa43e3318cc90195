"""Fields that decide between equal scores: a real node's own order of their values, in searches by meaning too."""

import random
from itertools import groupby
from typing import Any

import pytest

from tests.cluster.bridge.searches.test_pages import WORDS
from tests.cluster.bridges import Papers, ReadOnly
from tests.support.http import Answer, ndjson

DRAWN = random.Random(5)
QUERY = {"match": {"title": "cat knight"}}  # many matches, most of them with equal scores
BY_KEY = ["_score", {"key": "asc"}]  # no two documents have one key
WHOLE = 1_000
TYPES = {
    "key": "keyword", "word": "keyword", "flag": "boolean", "large": "long", "huge": "unsigned_long", "real": "double",
    "half": "half_float", "scaled": "scaled_float", "day": "date", "nanos": "date_nanos", "address": "ip",
}  # fmt: skip
PROPERTIES: dict[str, Any] = {name: {"type": kind} for name, kind in TYPES.items()}
PROPERTIES["scaled"]["scaling_factor"] = 10
PROPERTIES["same_key"] = {"type": "alias", "path": "key"}


def document(number: int) -> dict[str, Any]:
    found: dict[str, Any] = {"title": " ".join(DRAWN.sample(WORDS, 5)), "key": f"{DRAWN.random():.9f}"}
    if number % 3:  # the others lack these
        any_number = DRAWN.randrange(-4, 5)
        found |= {"year": any_number, "word": DRAWN.choice(["a", "B", "é", "\U0001f600", "\uffee", "Infinity"])}
        found |= {"flag": number % 2 == 0, "large": any_number * 2**53 + number % 5, "huge": 2**63 + any_number}
        found |= {"real": any_number / 7, "half": any_number / 7, "scaled": any_number / 7}
        found |= {"day": f"200{number % 10}-01-02", "nanos": f"200{number % 10}-01-02T00:00:00.123456789Z"}
        found |= {"address": f"10.0.0.{number % 200}"}
    if number % 5 == 0:
        found["word"] = ["a", "z"]
    return found


DOCUMENTS = {str(n): document(n) for n in range(300)}


@pytest.fixture(params=[1, 3], ids=["one shard", "three shards"])
async def filled(request: pytest.FixtureRequest, read_only: ReadOnly) -> Papers:
    settings = {"number_of_shards": request.param}
    return await read_only(
        f"ties-of-{request.param}", DOCUMENTS, {"settings": settings, "mappings": {"properties": PROPERTIES}}
    )


async def asked(papers: Papers, url: str = "", **options: Any) -> Answer:
    path = "/_search" if "pit" in options else f"/{papers.index}/_search"
    answer = await papers.bridge("POST", f"{path}?{url}", {"query": QUERY, "_source": False, **options})
    assert answer.status == 200, answer.body
    return answer


async def search(papers: Papers, url: str = "", **options: Any) -> dict[str, Any]:
    answer = await asked(papers, url, **options)
    assert answer.headers["X-Sidecar-Search"].startswith("hybrid; "), answer.headers["X-Sidecar-Search"]
    return answer.json["hits"]


def ids(hits: dict[str, Any]) -> list[str]:
    return [hit["_id"] for hit in hits["hits"]]


@pytest.mark.parametrize(
    "key",
    [
        *(name for name in TYPES if name != "address"),
        "year",
        "_id",
        "_doc",
        "_index",
        {"year": {"order": "desc"}},
        {"year": {"missing": "_first"}},
        {"year": {"missing": 2}},
        {"real": "desc"},
        {"word": {"order": "DESC"}},
        {"word": {"missing": "_first"}},
        {"word": {"missing": "_first", "order": "desc"}},
        {"word": {"missing": "b"}},
        {"word": {"mode": "max"}},
        {"nowhere": {"unmapped_type": "long"}},
        {"nowhere": {"unmapped_type": "keyword", "missing": "_first"}},
    ],
    ids=str,
)
async def test_equal_scores_are_in_the_clusters_own_order(filled: Papers, key: Any) -> None:
    found = (await search(filled, size=WHOLE, sort=["_score", key]))["hits"]
    body = {"query": {"match_all": {}}, "_source": False, "size": WHOLE}
    direct = await filled.direct("POST", f"/{filled.index}/_search", {**body, "sort": [key]})
    place_of = {hit["_id"]: (place, hit["sort"]) for place, hit in enumerate(direct.json["hits"]["hits"])}

    assert len(found) > 120
    assert [hit["_score"] for hit in found] == sorted((hit["_score"] for hit in found), reverse=True)
    assert [hit["sort"] for hit in found] == [[hit["_score"], *place_of[hit["_id"]][1]] for hit in found]
    groups = [[hit["_id"] for hit in equal] for _, equal in groupby(found, lambda hit: hit["_score"])]
    assert max(map(len, groups)) > 5
    for group in groups:
        values = [place_of[identifier][1] for identifier in group]
        assert values == [value for _, value in sorted(place_of[identifier] for identifier in group)]


async def test_scores_and_totals_are_those_of_the_search_without_fields(filled: Papers) -> None:
    wide = f"sidecar_window={len(DOCUMENTS)}"
    plain, sorted_by = [await search(filled, wide, size=len(DOCUMENTS), **o) for o in ({}, {"sort": BY_KEY})]

    assert {hit["_id"]: hit["_score"] for hit in sorted_by["hits"]} == pytest.approx(
        {hit["_id"]: hit["_score"] for hit in plain["hits"]}, abs=1e-6
    )
    assert sorted_by["total"] == plain["total"]
    assert sorted_by["max_score"] is None  # as in the cluster, which does not look for it beside a `sort`


@pytest.mark.parametrize(
    ("url", "options"),
    [
        pytest.param("", {"sort": [{"_score": "desc"}, "key"]}, id="an order of each"),
        pytest.param("", {"sort": [{"_score": {"order": "desc"}}, {"key": {"order": "asc"}}]}, id="options of each"),
        pytest.param("", {"sort": {"_score": "desc", "key": "asc"}}, id="one object"),
        pytest.param("sort=_score:desc,key:asc", {}, id="in the URL"),
        pytest.param("sort=_score,key", {}, id="in the URL without orders"),
        pytest.param("sort=key", {"sort": "_score"}, id="partly in the URL"),
        pytest.param("", {"sort": BY_KEY, "track_scores": False}, id="track_scores at its default"),
    ],
)
async def test_every_form_of_a_sort_is_read(filled: Papers, url: str, options: dict[str, Any]) -> None:
    assert await search(filled, url, **options) == await search(filled, sort=BY_KEY)


async def test_with_track_scores_the_best_score_is_shown(filled: Papers) -> None:
    hits = await search(filled, sort=BY_KEY, track_scores=True)

    assert hits["max_score"] == hits["hits"][0]["_score"]


@pytest.mark.parametrize("fusion", ["min_max", "l2", "rrf", "z_score", "min_max:harmonic_mean"])
@pytest.mark.parametrize("size", [7, 100])
async def test_pages_and_cursors_show_each_document_once(filled: Papers, fusion: str, size: int) -> None:
    url = f"sidecar_fusion={fusion}&sidecar_window=50&sidecar_k=120"
    whole = await search(filled, url, size=WHOLE, sort=BY_KEY)
    pages, cursors = [], list[dict[str, Any]]()
    for start in range(0, len(whole["hits"]) + size, size):
        pages.append(await search(filled, url, size=size, sort=BY_KEY, **{"from": start}))
        last = {"search_after": cursors[-1]["hits"][-1]["sort"]} if cursors else {}
        cursors.append(await search(filled, url, size=size, sort=BY_KEY, **last))
        if not cursors[-1]["hits"]:
            break

    assert len(set(ids(whole))) == len(ids(whole)) == whole["total"]["value"]
    for found in (pages, cursors):
        assert [identifier for hits in found for identifier in ids(hits)] == ids(whole)
        assert {str(hits["total"]) for hits in found} == {str(whole["total"])}
        assert found[-1]["hits"] == []


async def test_several_fields_decide_one_after_the_other(filled: Papers) -> None:
    sort: Any = ["_score", {"year": "desc"}, {"word": {"missing": "_first"}}, "key"]
    whole = await search(filled, size=WHOLE, sort=sort)
    after = whole["hits"][120]["sort"]

    assert ids(await search(filled, size=30, sort=sort, search_after=after)) == ids(whole)[121:151]
    values = [(-hit["_score"], -hit["sort"][1], hit["sort"][2] or "", hit["sort"][3]) for hit in whole["hits"]]
    assert values == sorted(values)


async def test_items_of_an_msearch_and_points_in_time_have_the_same_order(filled: Papers) -> None:
    plain = await search(filled, sort=BY_KEY, size=120)
    after = {"search_after": plain["hits"][19]["sort"]}
    item = {"query": QUERY, "_source": False, "sort": BY_KEY}
    several = await filled.bridge("POST", f"/{filled.index}/_msearch", ndjson({}, item, {}, {**item, **after}))
    made = await filled.bridge("POST", f"/{filled.index}/_search/point_in_time?keep_alive=1m")
    pit = {"id": made.json["pit_id"]}
    points = [await search(filled, pit=pit, sort=BY_KEY, **options) for options in ({}, after)]
    await filled.direct("DELETE", "/_search/point_in_time", {"pit_id": [pit["id"]]})

    expected = [ids(plain)[:10], ids(plain)[20:30]]
    assert [ids(answer["hits"]) for answer in several.json["responses"]] == expected
    assert [ids(hits) for hits in points] == expected


async def test_aggregations_groups_and_highlights_go_with_it(filled: Papers) -> None:
    marks = {"fields": {"title": {}}}
    aggregations = {"years": {"terms": {"field": "year"}}}
    answer = await asked(filled, sort=BY_KEY, highlight=marks, aggs=aggregations, collapse={"field": "year"})
    lexical = await asked(filled, "sidecar=lexical", sort=BY_KEY, aggs=aggregations)

    assert answer.headers["X-Sidecar-Search"].startswith("hybrid; ")
    hits = answer.json["hits"]["hits"]
    assert len({str(hit.get("fields")) for hit in hits}) == len(hits) == 10
    assert all(hit["sort"] == [hit["_score"], hit["sort"][1]] for hit in hits)
    assert any("highlight" in hit for hit in hits)
    assert answer.json["aggregations"] == lexical.json["aggregations"]


@pytest.mark.parametrize(
    ("url", "options", "reason"),
    [
        pytest.param("", {"sort": ["year", "_score"]}, "sort", id="a field first"),
        pytest.param("", {"sort": [{"_score": "asc"}, "year"]}, "sort", id="the worst first"),
        pytest.param("", {"sort": ["_score", "year", "_score"]}, "sort", id="the score twice"),
        pytest.param("", {"sort": ["_score", "address"]}, "sort", id="a type with an order of its own"),
        pytest.param("", {"sort": ["_score", "title"]}, "sort", id="a text, which the cluster refuses"),
        pytest.param("", {"sort": ["_score", "nowhere"]}, "sort", id="no field, which the cluster refuses"),
        pytest.param("", {"sort": ["_score", {"year": {"numeric_type": "double"}}]}, "sort", id="an unknown option"),
        pytest.param("", {"sort": ["_score", "year"], "search_after": [1.0]}, "sort", id="a cursor too short"),
        pytest.param("", {"sort": ["_score", "year"], "search_after": [1.0, None]}, "sort", id="a cursor of null"),
        pytest.param("", {"sort": ["_score", "day"], "search_after": [1.0, "2001"]}, "sort", id="a date as text"),
        pytest.param("", {"sort": ["_score", "year"], "search_after": [1.0, 1], "from": 1}, "sort", id="cursor, from"),
        pytest.param("from=1", {"sort": ["_score", "year"], "search_after": [1.0, 1]}, "sort", id="from in the URL"),
        pytest.param("", {"sort": BY_KEY, "search_after": [1.0, "0"], "collapse": {"field": "year"}}, "sort",
                     id="a cursor and groups"),
        pytest.param("sidecar_weights=1,0", {"sort": BY_KEY}, "sort", id="a leg without weight"),
        pytest.param("", {"sort": BY_KEY, "search_after": [2.5, "0"]}, "refused", id="a cursor of another ranking"),
    ],
)  # fmt: skip
async def test_what_cannot_be_ordered_here_is_the_clusters(
    filled: Papers, url: str, options: dict[str, Any], reason: str
) -> None:
    body = {"query": QUERY, "_source": False, **options}
    through = await filled.bridge("POST", f"/{filled.index}/_search?{url}", body)
    own = "&".join(part for part in url.split("&") if not part.startswith("sidecar"))
    direct = await filled.direct("POST", f"/{filled.index}/_search?{own}", body)

    assert through.headers["X-Sidecar-Search"] == f"lexical; reason={reason}"
    assert (through.status, through.json.get("hits")) == (direct.status, direct.json.get("hits"))


async def test_by_meaning_alone_the_cluster_sorts(filled: Papers) -> None:
    answer = await asked(filled, "sidecar=semantic", sort=["_score", {"key": "desc"}], size=20)

    assert answer.headers["X-Sidecar-Search"].startswith("semantic; ")
    hits = answer.json["hits"]["hits"]
    assert [hit["sort"] for hit in hits] == sorted((hit["sort"] for hit in hits), reverse=True)
    after = await asked(filled, "sidecar=semantic", sort=["_score", {"key": "desc"}], search_after=hits[9]["sort"])
    assert ids(after.json["hits"]) == ids(answer.json["hits"])[10:]


async def test_a_cursor_beyond_the_greatest_page_is_refused_with_the_way_on(read_only: ReadOnly) -> None:
    settings = {"number_of_shards": 1, "max_result_window": 60}
    mapping = {"settings": settings, "mappings": {"properties": PROPERTIES}}
    filled = await read_only("ties-of-few", DOCUMENTS, mapping)
    hits = await search(filled, size=50, sort=BY_KEY)
    body = {"query": QUERY, "sort": BY_KEY, "search_after": hits["hits"][-1]["sort"]}
    within = await search(filled, size=10, sort=BY_KEY, search_after=hits["hits"][-1]["sort"])
    beyond = await filled.bridge("POST", f"/{filled.index}/_search", {**body, "size": 11})
    several = await filled.bridge("POST", f"/{filled.index}/_msearch", ndjson({}, {**body, "size": 11}, {}, body))

    assert len(within["hits"]) == 10
    assert (beyond.status, beyond.json["error"]["type"]) == (400, "illegal_argument_exception")
    assert "the first [60] hits" in beyond.json["error"]["reason"]
    assert "sidecar=lexical" in beyond.json["error"]["reason"]
    assert [item["status"] for item in several.json["responses"]] == [400, 200]
    assert several.json["responses"][0]["error"] == beyond.json["error"]
