"""Which options of a search go with `hybrid`. What the real node does with each is shown in the tests of the cluster."""

import pytest

from sidecar.bridge.searches.outcome import Reason
from sidecar.bridge.searches.rewrite.eligibility import cluster_reason, end_of_page, option_reason, query_of
from sidecar.jsontext import Json

QUERY: dict[str, Json] = {"query": {"match": {"title": "x"}}}


@pytest.mark.parametrize(
    ("body", "url", "reason"),
    [
        pytest.param({}, {}, None, id="nothing"),
        pytest.param({"highlight": {}, "from": 10}, {"routing": "a"}, None, id="neutral options"),
        pytest.param({}, {"search_type": "query_then_fetch"}, None, id="the type of search that is the default"),
        pytest.param({}, {"search_type": "dfs_query_then_fetch"}, Reason.OPTION, id="another type of search"),
        pytest.param({}, {"scroll": "1m"}, Reason.SCROLL, id="scroll"),
        pytest.param({}, {"ignore_throttled": "true"}, None, id="what Java clients always send"),
        pytest.param({"sort": ["year"]}, {}, Reason.SORT, id="sorted by a field"),
        pytest.param({"search_after": [1]}, {}, Reason.SORT, id="search_after"),
        pytest.param({"sort": ["_score", "year"], "search_after": [1, 2], "track_scores": True}, {}, None,
                     id="sorted by score, then by a field"),
        pytest.param({"sort": ["_score", "year"], "track_scores": 1}, {}, Reason.OPTION, id="track_scores of a number"),
        pytest.param({"explain": True}, {}, None, id="explain"),
        pytest.param({"explain": 1}, {}, Reason.OPTION, id="explain, which the cluster refuses"),
        pytest.param({"min_score": 1}, {}, Reason.MIN_SCORE, id="min_score"),
        pytest.param({"size": 0}, {}, Reason.SIZE_ZERO, id="no hits wanted"),
        pytest.param({}, {"size": "0"}, Reason.SIZE_ZERO, id="no hits wanted, in the URL"),
        pytest.param({"profile": True}, {}, Reason.OPTION, id="an option that is not listed"),
        pytest.param({}, {"df": "title"}, Reason.OPTION, id="a parameter of q without q"),
        pytest.param({"query": {"nested": {"inner_hits": {}}}}, {}, Reason.OPTION, id="inner hits"),
        pytest.param({"pit": {"id": "?"}}, {}, Reason.OPTION, id="a point in time that cannot be read"),
    ],
)  # fmt: skip
def test_options_that_keep_a_search_lexical(body: dict[str, Json], url: dict[str, str], reason: Reason | None) -> None:
    assert option_reason({**QUERY, **body}, url) == reason


@pytest.mark.parametrize(
    ("body", "url", "reason"),
    [
        pytest.param({}, {}, None, id="nothing"),
        pytest.param({"aggs": {"a": {}}}, {}, Reason.AGGREGATIONS, id="aggregations"),
        pytest.param({"track_total_hits": True}, {}, Reason.EXACT_TOTALS, id="exact totals"),
        pytest.param({"track_total_hits": 100}, {}, None, id="totals up to a number"),
        pytest.param({}, {"track_total_hits": "true"}, Reason.EXACT_TOTALS, id="exact totals, in the URL"),
        pytest.param({"track_total_hits": 2_147_483_647}, {}, Reason.EXACT_TOTALS, id="exact totals, as a number"),
        pytest.param({"track_total_hits": True}, {"track_total_hits": "9"}, None, id="the URL wins"),
        pytest.param({"collapse": {"field": "year"}}, {}, Reason.OPTION, id="collapse"),
        pytest.param({"explain": True}, {}, Reason.OPTION, id="explain"),
        pytest.param({"sort": ["_score", "year"]}, {}, Reason.SORT, id="a field that decides between equal scores"),
    ],
)
def test_options_that_the_bridge_must_fuse_itself(
    body: dict[str, Json], url: dict[str, str], reason: Reason | None
) -> None:
    assert cluster_reason(body, url) == reason


@pytest.mark.parametrize(
    ("body", "url", "window"),
    [
        pytest.param({}, {}, 10, id="the cluster's defaults"),
        pytest.param({"from": 5, "size": 20}, {}, 25, id="of the body"),
        pytest.param({"size": 20}, {"size": "3"}, 3, id="the URL wins"),
        pytest.param({"size": "7"}, {}, 7, id="a number in text"),
        pytest.param({"size": -1}, {}, None, id="negative"),
        pytest.param({"size": True}, {}, None, id="a boolean"),
        pytest.param({}, {"from": "1" * 11}, None, id="more digits than an int has"),
    ],
)
def test_the_window_is_from_and_size_as_the_cluster_reads_them(
    body: dict[str, Json], url: dict[str, str], window: int | None
) -> None:
    assert end_of_page(body, url) == window


def test_a_query_of_the_url_replaces_that_of_the_body() -> None:
    assert query_of(QUERY, {}) == QUERY["query"]
    assert query_of(QUERY, {"q": "a b", "df": "title"}) == {"query_string": {"query": "a b", "default_field": "title"}}
