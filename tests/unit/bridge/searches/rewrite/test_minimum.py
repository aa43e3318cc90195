"""`minimum_should_match`, as the cluster counts it."""

import pytest

from sidecar.bridge.searches.rewrite.minimum import asks_nothing, minimum_of
from sidecar.jsontext import Json


@pytest.mark.parametrize(
    ("wanted", "count", "minimum"),
    [
        pytest.param(1, 3, 1, id="a number"),
        pytest.param("1", 3, 1, id="a number in a text"),
        pytest.param(" 2 ", 3, 2, id="with spaces"),
        pytest.param(-1, 3, 2, id="all but one"),
        pytest.param(-5, 3, 0, id="all but more than there are"),
        pytest.param("75%", 4, 3, id="a share"),
        pytest.param("34%", 2, 0, id="a share is cut off"),
        pytest.param("-25%", 4, 3, id="all but a share"),
        pytest.param("2<75%", 4, None, id="a condition"),
        pytest.param("x", 4, None, id="no number"),
        pytest.param(True, 4, None, id="a boolean"),
        pytest.param(None, 4, None, id="nothing"),
    ],
)
def test_the_number_of_clauses_that_must_match(wanted: Json, count: int, minimum: int | None) -> None:
    assert minimum_of(wanted, count) == minimum


@pytest.mark.parametrize(
    ("wanted", "nothing"), [(0, True), ("0", True), (1, True), ("1", True), ("0%", True), (2, False), ("1%", False),
                            (-1, False), ("-100%", True), ("3<90%", False), (None, False)]
)  # fmt: skip
def test_a_minimum_that_any_text_meets(wanted: Json, nothing: bool) -> None:
    assert asks_nothing(wanted) is nothing
