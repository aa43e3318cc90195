"""Answers of the two phases become one answer."""

from typing import Any

import pytest

from sidecar.bridge.searches.fusion.answer import Refused, compose, read_legs
from sidecar.bridge.searches.fusion.request import Shard
from tests.unit.bridge.searches.fusion.test_legs import leg, planned

ERROR = {"error": {"type": "search_phase_execution_exception", "failed_shards": [{"shard": 0}]}, "status": 503}


def test_vector_hits_are_counted_where_the_lexical_leg_is_whole_and_asked_about_where_it_is_not() -> None:
    search = planned(Shard(0, "a"), Shard(1, "a"))
    found = read_legs(search, [leg(1, 2), leg(1, 2), leg(1, total=1), leg(1, total=500)])

    assert not isinstance(found, Refused)
    assert (found.total, found.extra, found.uncounted) == (501, 1, ((1, 2),))


@pytest.mark.parametrize(
    ("counted", "lexical", "total"),
    [
        pytest.param(True, leg(1, total=1), {"value": 2, "relation": "eq"}, id="all"),
        pytest.param(2, leg(1, total=1), {"value": 2, "relation": "eq"}, id="as many as there are"),
        pytest.param(1, leg(1, total=1), {"value": 1, "relation": "gte"}, id="fewer"),
        pytest.param(1, leg(1, total=1, relation="gte"), {"value": 1, "relation": "gte"}, id="fewer lexical ones"),
        pytest.param(0, leg(1, total=0, relation="gte"), {"value": 0, "relation": "gte"}, id="none"),
        pytest.param(False, leg(1), None, id="no total"),
    ],
)
def test_a_total_counts_both_legs_as_far_as_the_client_wants(
    counted: bool | int, lexical: dict[str, Any], total: object
) -> None:
    search = planned(track_total_hits=counted)
    found = read_legs(search, [leg(1, 2), lexical])

    assert not isinstance(found, Refused)
    composed: Any = compose(search, found, [], extra=found.extra, max_score=None, took=1)
    assert composed["hits"].get("total") == total


@pytest.mark.parametrize("score", [None, "Infinity"])
def test_a_hit_whose_score_is_no_number_takes_no_part(score: object) -> None:
    endless = leg(1, 2, total=2)
    endless["hits"]["hits"][0]["_score"] = score
    found = read_legs(planned(), [leg(), endless])

    assert not isinstance(found, Refused)
    assert found.shards[0].lexical == [((0, 2), 1.0)]


@pytest.mark.parametrize(
    ("responses", "url", "failed"),
    [
        pytest.param([leg(), leg(), ERROR, leg(total=0)], {}, 1, id="one lexical leg"),
        pytest.param([leg(), ERROR, leg(total=0), leg(total=0)], {}, 1, id="one vector leg"),
        pytest.param([leg(), leg(), ERROR, ERROR], {}, None, id="all lexical legs"),
        pytest.param([ERROR, ERROR, leg(total=0), leg(total=0)], {}, None, id="all vector legs"),
        pytest.param([leg(), leg(), ERROR, leg(total=0)], {"allow_partial_search_results": "false"}, None,
                     id="one, and no partial results wanted"),
    ],
)  # fmt: skip
def test_failed_legs(responses: list[dict[str, Any]], url: dict[str, str], failed: int | None) -> None:
    found = read_legs(planned(Shard(0, "a"), Shard(1, "a"), url=url), responses)

    if failed is None:
        assert found == Refused(503, ERROR)
    else:
        assert not isinstance(found, Refused)
        assert found.shards_header == {
            "total": 2, "successful": 1, "skipped": 0, "failed": 1, "failures": [{"shard": 0}],
        }  # fmt: skip


def test_a_shard_of_a_point_in_time_fails_once_though_every_leg_tells_of_it() -> None:
    failure = {"shard": 1, "index": "a", "reason": {}}
    described = {"total": 2, "successful": 1, "skipped": 0, "failed": 1, "failures": [failure]}
    search = planned(Shard(0, "a"), Shard(1, "a"), pit={"id": "x"})
    found = read_legs(search, [{**leg(total=0), "_shards": described, "pit_id": "y"}] * 3 + [leg(total=0)])

    assert not isinstance(found, Refused)
    assert (found.shards_header, found.pit) == (described, "y")
