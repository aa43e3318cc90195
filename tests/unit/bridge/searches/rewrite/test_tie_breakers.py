"""Which orders by score the bridge understands, and how it compares the values that decide between equal scores."""

from typing import Any

import pytest

from sidecar.bridge.searches.rewrite.tie_breakers import (
    TieBreaker,
    can_break_ties,
    in_order,
    is_ahead,
    is_behind,
    tie_breakers,
)
from tests.support.bindings import an_index

YEAR = TieBreaker("year")
LATEST = TieBreaker("year", is_descending=True)
MAPPED = frozenset({("year", "integer"), ("day", "date"), ("word", "keyword"), ("address", "ip")})


@pytest.mark.parametrize(
    ("sort", "keys"),
    [
        pytest.param(["_score", "year"], (YEAR,), id="names"),
        pytest.param([{"_score": "desc"}, {"year": "desc"}], (LATEST,), id="orders"),
        pytest.param([{"_score": {}}, {"year": {"order": "DESC"}}], (LATEST,), id="options"),
        pytest.param({"_score": {"order": "desc"}, "year": {}, "_id": "asc"}, (YEAR, TieBreaker("_id")), id="object"),
        pytest.param(["_score", {"year": {"missing": "_first", "mode": "min", "unmapped_type": "long"}}],
                     (TieBreaker("year", nulls_first=True, unmapped_type="long"),), id="every option"),
        pytest.param(["_score"], None, id="by score alone"),
        pytest.param("_score", None, id="by score alone, as a text"),
        pytest.param(["year", "_score"], None, id="a field first"),
        pytest.param([{"_score": "asc"}, "year"], None, id="the worst first"),
        pytest.param(["_score", "year", {"_score": {}}], None, id="the score twice"),
        pytest.param(["_score", {"year": {"nested": {"path": "a"}}}], None, id="an unknown option"),
        pytest.param(["_score", {"year": "up"}], None, id="an unknown order"),
        pytest.param(["_score", {"year": {"order": 1}}], None, id="an order that is no text"),
        pytest.param(["_score", {"year": {"unmapped_type": 1}}], None, id="a type that is no text"),
        pytest.param(["_score", {"year": None}], None, id="null"),
        pytest.param(["_score", 7], None, id="a number"),
        pytest.param(None, None, id="nothing"),
    ],
)  # fmt: skip
def test_a_sort_by_score_and_then_by_fields_is_read(sort: Any, keys: tuple[TieBreaker, ...] | None) -> None:
    assert tie_breakers(sort) == keys


@pytest.mark.parametrize(
    ("key", "cursor", "is_known"),
    [
        pytest.param("year", [1.0, 2001], True, id="a number"),
        pytest.param("year", ["0.5", "-2.5e3"], True, id="numbers in texts"),
        pytest.param({"year": {"order": "desc"}}, [1, "-Infinity"], True, id="an endless number"),
        pytest.param("word", [1.0, "cat"], True, id="a text"),
        pytest.param("word", [1.0, None], True, id="a missing text"),
        pytest.param("day", [1.0, 1577836800000], True, id="a time"),
        pytest.param("_doc", [1.0, 3], True, id="a number of Lucene"),
        pytest.param("_id", [1.0, "3"], True, id="an id"),
        pytest.param("day", [1.0, "2001"], False, id="a time in a text"),
        pytest.param("year", [1.0, None], False, id="a missing number"),
        pytest.param("year", [1.0, True], False, id="a boolean"),
        pytest.param("year", [None, 2001], False, id="no score"),
        pytest.param("year", [1.0, "cat"], False, id="a word for a number"),
        pytest.param("word", [1.0, 7], False, id="a number for a word"),
        pytest.param("year", [1.0], False, id="too short"),
        pytest.param("year", 1.0, False, id="no list"),
    ],
)
def test_a_cursor_has_a_value_of_its_kind_for_each_key(key: Any, cursor: Any, is_known: bool) -> None:
    body = {"sort": ["_score", key], "search_after": cursor}
    assert can_break_ties(body, (an_index(mapped=MAPPED),)) is is_known
    assert can_break_ties({"sort": ["_score", key]}, (an_index(mapped=MAPPED),))
    assert not can_break_ties({**body, "collapse": {}}, (an_index(mapped=MAPPED),))


@pytest.mark.parametrize(
    ("key", "other", "is_known"),
    [
        pytest.param("year", MAPPED, True, id="one type in all indices"),
        pytest.param("year", frozenset({("year", "long")}), False, id="two types"),
        pytest.param("year", frozenset(), False, id="no field in one index"),
        pytest.param({"year": {"unmapped_type": "integer"}}, frozenset(), True, id="the type of a missing field"),
        pytest.param("address", MAPPED, False, id="a type with an order of its own"),
    ],
)
def test_a_key_has_one_known_type_in_all_indices(key: Any, other: frozenset[tuple[str, str]], is_known: bool) -> None:
    indices = (an_index(mapped=MAPPED), an_index("b", mapped=other))
    assert can_break_ties({"sort": ["_score", key]}, indices) is is_known


@pytest.mark.parametrize(
    ("key", "values"),
    [
        pytest.param(YEAR, [-1, 0, 2.5, 2**62], id="numbers"),
        pytest.param(LATEST, [3, 1, -5], id="descending"),
        pytest.param(YEAR, ["-Infinity", -1.5, 7, "Infinity"], id="endless numbers"),
        pytest.param(YEAR, ["B", "a", "é", "\uffee", "\U0001f600", None], id="texts by their bytes, the missing last"),
        pytest.param(LATEST, ["b", "a", None], id="also descending"),
        pytest.param(TieBreaker("year", nulls_first=True), [None, "a", "b"], id="the missing first"),
    ],
)
def test_values_are_compared_as_in_the_cluster(key: TieBreaker, values: list[Any]) -> None:
    compared = [[key.compare(one, other) for other in values] for one in values]
    places = range(len(values))
    assert compared == [[(one > other) - (one < other) for other in places] for one in places]


def test_only_equal_scores_change_places() -> None:
    ranked = {"a": 1.0, "b": 0.5, "c": 0.5, "d": 0.5, "e": 0.1}
    values = {"a": [9, "x"], "b": [2, "y"], "c": [1, "z"], "d": [1, "w"], "e": [0, "x"]}

    assert list(in_order(ranked, values, (YEAR, TieBreaker("word"))).items()) == [
        ("a", 1.0), ("d", 0.5), ("c", 0.5), ("b", 0.5), ("e", 0.1),
    ]  # fmt: skip
    assert list(in_order(ranked, {document: [1] for document in ranked}, (YEAR,))) == list(ranked)


def test_a_page_follows_its_cursor() -> None:
    hits = [(0.9, [5]), (0.5, [1]), (0.5, [2]), (0.5, [3]), (0.1, [1])]

    assert [is_behind(score, values, [0.5, "2"], (YEAR,)) for score, values in hits] == [False] * 3 + [True] * 2
    assert [is_behind(score, values, ["0.5", 2], (LATEST,)) for score, values in hits] == [
        False,
        True,
        False,
        False,
        True,
    ]
    assert [is_ahead(cursor, 0.9) for cursor in (None, [0.9, 5], ["0.95", 5], [7, 1])] == [False, False, True, True]
