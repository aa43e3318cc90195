"""The id of a point in time, read as OpenSearch writes it; whatever else it may be, there is no exception."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.bridge.searches.rewrite.point_in_time import expression_of_point, holds_all, shards_of_point
from sidecar.jsontext import Json
from tests.support.bindings import an_index
from tests.support.points import point_in_time

# Of a node of 2.19.1: indices of three shards and of one.
SEEN = (
    "99aFQQQNdDVmNWMzYzM5ZDEtYRY5SGVZMEFKRFEtV1NySG82YjJHbHRBARZGcXcxUW0yd1RSS0tWeGNxOUxEMm9RAAAAAAAAAAADFnQ2bGc2NDRaUzFt"
    "U2xKN2hkVzlkLWcNdDVmNWMzYzM5ZDEtYhZkb1lWcENjSlFQLWpZRGlhRHBSSHp3ABZGcXcxUW0yd1RSS0tWeGNxOUxEMm9RAAAAAAAAAAACFnQ2bGc2"
    "NDRaUzFtU2xKN2hkVzlkLWcNdDVmNWMzYzM5ZDEtYRY5SGVZMEFKRFEtV1NySG82YjJHbHRBAhZGcXcxUW0yd1RSS0tWeGNxOUxEMm9RAAAAAAAAAAAE"
    "FnQ2bGc2NDRaUzFtU2xKN2hkVzlkLWcNdDVmNWMzYzM5ZDEtYRY5SGVZMEFKRFEtV1NySG82YjJHbHRBABZGcXcxUW0yd1RSS0tWeGNxOUxEMm9RAAAA"
    "AAAAAAABFnQ2bGc2NDRaUzFtU2xKN2hkVzlkLWcCFmRvWVZwQ2NKUVAtallEaWFEcFJIencAABY5SGVZMEFKRFEtV1NySG82YjJHbHRBAAA="
)
NAMES = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=300)


def test_an_id_of_a_real_node() -> None:
    assert shards_of_point({"id": SEEN}) == {
        ("t5f5c3c39d1-a", 0), ("t5f5c3c39d1-a", 1), ("t5f5c3c39d1-a", 2), ("t5f5c3c39d1-b", 0),
    }  # fmt: skip
    assert expression_of_point({"pit": {"id": SEEN}}) == "t5f5c3c39d1-a,t5f5c3c39d1-b"


@given(st.sets(st.tuples(NAMES, st.integers(0, 2**31 - 1)), max_size=5))
def test_every_id_is_read(shards: set[tuple[str, int]]) -> None:
    assert shards_of_point(point_in_time(*shards)) == shards


@given(st.one_of(st.binary(max_size=80).map(base64.urlsafe_b64encode).map(bytes.decode), st.text(max_size=40)))
def test_what_is_no_id_is_read_or_not_but_never_fails(text: str) -> None:
    assert isinstance(shards_of_point({"id": text}), frozenset | None)


@given(st.data())
def test_an_id_that_was_cut_short_among_its_shards_is_not_read(data: st.DataObject) -> None:
    stream = base64.urlsafe_b64decode(SEEN)
    cut = stream[: data.draw(st.integers(1, stream.index(b"\x02\x16doYV") - 1))]

    assert shards_of_point({"id": base64.urlsafe_b64encode(cut).decode()}) is None


@pytest.mark.parametrize(
    "pit",
    [
        pytest.param(None, id="none"),
        pytest.param("x", id="not an object"),
        pytest.param({}, id="no id"),
        pytest.param({"id": ""}, id="an empty id"),
        pytest.param({"id": 1}, id="a number"),
        pytest.param({"id": "?"}, id="not base64"),
        pytest.param({"id": "_____w=="}, id="a number that does not end"),
        pytest.param(point_in_time(("papers", 0), cluster="other"), id="of another cluster"),
    ],
)
def test_what_names_no_index_here(pit: Json) -> None:
    assert shards_of_point(pit) is None
    assert expression_of_point({"pit": pit}) is None


def test_only_a_point_of_all_shards_holds_all() -> None:
    indices = (an_index("a", shards=2), an_index("b", shards=1))

    assert holds_all(point_in_time(("a", 0), ("a", 1), ("b", 0)), indices)
    assert not holds_all(point_in_time(("a", 0), ("b", 0)), indices)
