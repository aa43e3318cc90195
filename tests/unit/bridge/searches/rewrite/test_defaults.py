"""Which options change nothing, in the body and in the URL. The real node was asked about each row."""

import pytest

from sidecar.bridge.searches.rewrite.defaults import without_defaults
from sidecar.jsontext import Json


@pytest.mark.parametrize(
    "option",
    [
        {"explain": False},
        {"explain": "false"},
        {"profile": False},
        {"version": False},
        {"seq_no_primary_term": "false"},
        {"include_named_queries_score": False},
        {"verbose_pipeline": False},
        {"track_scores": True},
        {"track_scores": False},
        {"track_scores": "true"},
        {"min_score": 0},
        {"min_score": 0.0},
        {"min_score": "0"},
        {"min_score": -1},
        {"terminate_after": 0},
        {"terminate_after": "0"},
        {"timeout": -1},
        {"timeout": "-1"},
        {"sort": []},
        {"sort": {}},
        {"sort": "_score"},
        {"sort": ["_score"]},
        {"sort": {"_score": {}}},
        {"sort": {"_score": "desc"}},
        {"sort": [{"_score": {"order": "DESC"}}], "track_scores": True},
        {"rescore": []},
        {"indices_boost": []},
        {"indices_boost": {}},
        {"ext": {}},
        {"derived": {}},
        {"aggs": {}},
        {"aggregations": {}},
        {"suggest": {}},
        {"stats": []},
    ],
    ids=str,
)
def test_an_option_of_the_body_at_its_default_is_none(option: dict[str, Json]) -> None:
    assert without_defaults({"size": 3, **option}, {}) == ({"size": 3}, {})


@pytest.mark.parametrize(
    "option",
    [
        {"explain": True},
        {"explain": 0},
        {"explain": None},
        {"profile": True},
        {"min_score": 0.1},
        {"min_score": None},
        {"min_score": True},
        {"min_score": "NaN"},
        {"terminate_after": -1},
        {"timeout": "0"},
        {"sort": "year"},
        {"sort": ["_score", "_score"]},
        {"sort": [{"_score": "asc"}]},
        {"sort": ["_score", "year"], "track_scores": True},
        {"sort": None},
        {"sort": [7]},
        {"rescore": {}},
        {"ext": []},
        {"aggs": {"a": {}}},
        {"aggs": []},
        {"stored_fields": []},
        {"track_total_hits": -1},
        {"search_after": []},
        {"slice": {}},
    ],
    ids=str,
)
def test_an_option_that_says_something_or_that_the_cluster_refuses_stays(option: dict[str, Json]) -> None:
    assert without_defaults(option, {}) == (option, {})


@pytest.mark.parametrize(
    ("url", "body"),
    [
        pytest.param("explain", {}, id="explain, which is false without a value"),
        pytest.param("explain=false", {}, id="explain=false"),
        pytest.param("track_scores=true", {}, id="track_scores=true"),
        pytest.param("track_scores", {}, id="track_scores"),
        pytest.param("terminate_after=0", {}, id="terminate_after=0"),
        pytest.param("timeout=-1", {}, id="timeout=-1"),
        pytest.param("include_named_queries_score=false", {}, id="include_named_queries_score=false"),
        pytest.param("sort", {}, id="an empty sort"),
        pytest.param("sort=_score", {}, id="sort=_score"),
        pytest.param("sort=_score:desc", {}, id="sort=_score:desc"),
        pytest.param("sort=_score:DESC", {}, id="an order that the cluster passes over"),
        pytest.param("version=true", {"version": True}, id="version moves into the body"),
        pytest.param("explain=true", {"explain": True}, id="so does explain"),
        pytest.param("sort=year:desc,_doc", {"sort": [{"year": {"order": "desc"}}, "_doc"]}, id="and an order"),
    ],
)
def test_options_of_the_url_become_those_of_the_body(url: str, body: dict[str, Json]) -> None:
    name, _, value = url.partition("=")

    assert without_defaults({}, {name: value, "routing": "a"}) == (body, {"routing": "a"})


def test_the_url_wins_and_its_sort_follows_that_of_the_body() -> None:
    said: dict[str, Json] = {
        "explain": True,
        "terminate_after": 5,
        "timeout": "1s",
        "sort": {"year": {}, "_score": "asc"},
    }
    url = {"explain": "false", "terminate_after": "0", "timeout": "-1", "sort": "_id"}

    assert without_defaults(said, url) == ({"sort": [{"year": {}}, {"_score": "asc"}, "_id"]}, {})


@pytest.mark.parametrize("url", ["explain=0", "terminate_after=1", "timeout=5s", "min_score=0", "scroll=0"])
def test_what_the_url_alone_says_stays_there(url: str) -> None:
    name, _, value = url.partition("=")

    assert without_defaults({}, {name: value}) == ({}, {name: value})


def test_numbers_and_booleans_may_be_texts() -> None:
    assert without_defaults({"from": "0", "size": 10.7, "track_total_hits": "true", "version": "true"}, {}) == (
        {"from": 0, "size": 10, "track_total_hits": True, "version": True},
        {},
    )
