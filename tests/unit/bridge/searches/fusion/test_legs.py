"""What is sent for a search that the bridge fuses, and how failures and totals of its legs are put together."""

import json
from dataclasses import replace
from typing import Any

import pytest

from sidecar.bridge.searches.fusion.legs import legs_request, page_request
from sidecar.bridge.searches.fusion.request import FusedSearch, Shard, plan_legs

QUERY: dict[str, Any] = {"match": {"title": "dogs"}}
FILTER = {"term": {"year": 2001}}
KNN: dict[str, Any] = {"knn": {"embedding": {"vector": [1.0, 0.5], "k": 100, "filter": FILTER}}}


def planned(*shards: Shard, url: dict[str, str] | None = None, **body: Any) -> FusedSearch:
    return plan_legs({"query": QUERY, **body}, KNN, 100, shards or (Shard(0, "a"),), url or {}, token="t")


def sent(body: bytes) -> list[tuple[Any, Any]]:
    lines = [json.loads(line) for line in body.splitlines()]
    return list(zip(lines[::2], lines[1::2], strict=True))


def test_a_search_of_one_shard_has_two_legs_and_reads_one_copy() -> None:
    (first, semantic), (second, lexical) = sent(legs_request(planned(aggs={"y": {}}, timeout="5s")))

    assert first == second == {"preference": "t"}
    assert lexical == {
        "query": QUERY, "size": 100, "_source": False, "stored_fields": "_none_", "seq_no_primary_term": True,
        "timeout": "5s", "track_total_hits": 10_000, "aggs": {"y": {}}, "sort": [{"_score": "desc"}, {"_doc": "asc"}],
    }  # fmt: skip
    assert semantic["query"] == KNN
    assert semantic["track_total_hits"] is False
    assert "aggs" not in semantic


def test_several_shards_have_legs_of_their_own_and_the_aggregations_a_search_over_all() -> None:
    items = sent(legs_request(planned(Shard(1, "a"), Shard(0, "a"), aggs={"y": {}}, url={"preference": "_local"})))

    assert [header.get("preference") for header, _ in items] == [
        "_shards:0|_local", "_shards:1|_local", "_shards:0|_local", "_shards:1|_local", None,
    ]  # fmt: skip
    assert items[-1][1] == {"size": 0, "track_total_hits": False, "aggs": {"y": {}}, "query": QUERY}
    assert "aggs" not in items[0][1]


def test_a_point_in_time_takes_slices_for_shards_and_no_preference() -> None:
    items = sent(legs_request(planned(Shard(0, "a"), Shard(1, "a"), Shard(0, "b"), pit={"id": "x"})))

    assert [header for header, _ in items] == [{}] * 6
    assert [body.get("slice") for _, body in items[:3]] == [{"id": 0, "max": 2}, None, {"id": 1, "max": 2}]
    assert {body["pit"]["id"] for _, body in items} == {"x"}


def test_a_deeper_page_asks_for_more_lexical_hits_and_no_more_neighbours() -> None:
    search = planned(**{"from": 95, "size": 10})
    (_, semantic), (_, lexical) = sent(legs_request(search))

    assert (lexical["size"], semantic["size"], semantic["query"]) == (105, 100, KNN)
    assert search.deeper() == replace(search, depth=1_050)
    assert replace(search, depth=10_000).deeper() is None


def test_all_neighbours_are_asked_for_because_all_count() -> None:
    search = plan_legs({"query": QUERY}, KNN, 20, [Shard(0, "a")], {}, token="t")
    (_, semantic), (_, lexical) = sent(legs_request(search))

    assert (lexical["size"], semantic["size"]) == (20, 100)


@pytest.mark.parametrize(
    ("wanted", "sent_one"), [(True, 2**31 - 1), ("true", 2**31 - 1), (False, False), (-1, False), (0, 0), ("50", 50)]
)
def test_the_lexical_leg_counts_as_far_as_the_client_wants(wanted: object, sent_one: object) -> None:
    assert sent(legs_request(planned(track_total_hits=wanted)))[1][1]["track_total_hits"] == sent_one


def test_what_a_pipeline_does_after_the_search_is_done_to_the_page_alone() -> None:
    search = replace(planned(aggs={}), processors=({"split": {}},))
    page, count = sent(page_request(search, [(0, 7)], [(0, 9)]))

    assert page[1]["search_pipeline"] == {"response_processors": [{"split": {}}]}
    assert [body["search_pipeline"] for _, body in (*sent(legs_request(search)), count)] == [{}] * 3


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        pytest.param(None, ["year"], id="nothing"),
        pytest.param(["a"], ["a", "year"], id="others"),
        pytest.param([{"field": "year", "format": "#"}], [{"field": "year", "format": "#"}], id="the field itself"),
    ],
)
def test_the_field_of_collapse_is_read_with_each_hit(named: list[Any] | None, expected: list[Any]) -> None:
    search = planned(collapse={"field": "year"}, **({} if named is None else {"docvalue_fields": named}))

    assert [body["docvalue_fields"] for _, body in sent(legs_request(search))] == [["year"]] * 2
    assert sent(page_request(search, [(0, 7)], []))[0][1]["docvalue_fields"] == expected


def test_a_page_without_hits_still_has_the_options_that_the_cluster_may_refuse() -> None:
    (_, page), (_, count) = sent(page_request(planned(fields=5), [], [(0, 9)]))

    assert (page["fields"], page["size"], count["size"]) == (5, 0, 0)


def test_several_indices_are_told_apart_inside_the_query() -> None:
    items = sent(legs_request(planned(Shard(0, "a"), Shard(0, "b"))))

    assert [body["query"]["bool"]["filter"] for _, body in items] == [[{"term": {"_index": i}}] for i in "abab"]
    assert items[-1][1]["query"]["bool"]["must"] == [QUERY]


def test_the_page_is_fetched_by_number_and_the_clients_filter_with_its_options() -> None:
    search = planned(highlight={"fields": {}}, fields=["year"], aggs={})
    (_, page), (_, count) = sent(page_request(search, [(0, 7), (0, 3)], [(0, 9)]))

    numbers = {"bool": {"filter": [{"terms": {"_seq_no": [7, 3]}}, FILTER]}}
    assert page == {
        "fields": ["year"], "highlight": {"fields": {}}, "seq_no_primary_term": True, "track_total_hits": False,
        "size": 2, "query": {"bool": {"filter": [numbers], "should": [QUERY]}},
    }  # fmt: skip
    assert count["query"] == {"bool": {"filter": [QUERY, {"terms": {"_seq_no": [9]}}]}}


def leg(*numbers: int, total: int | None = None, relation: str = "eq") -> dict[str, Any]:
    hits: dict[str, Any] = {"hits": [{"_seq_no": n, "_score": 1.0, "sort": [1.0, n]} for n in numbers]}
    if total is not None:
        hits["total"] = {"value": total, "relation": relation}
    return {"timed_out": False, "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0}, "hits": hits}
