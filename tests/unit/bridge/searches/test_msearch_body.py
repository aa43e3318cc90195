"""The body of _msearch, read as OpenSearch reads it: one row per rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.bridge.searches.fusion.several import at_once
from sidecar.bridge.searches.msearch_body import errors_of_items, parse_msearch, with_answers


@pytest.mark.parametrize(
    ("text", "expressions"),
    [
        pytest.param(b"", [], id="nothing"),
        pytest.param(b'{}\n{"size":1}\n', [None], id="the index of the path"),
        pytest.param(b'\n{"size":1}\n', None, id="empty first line is skipped, so a header has no search"),
        pytest.param(b'\n{}\n{"size":1}\n', [None], id="empty first line, then a pair"),
        pytest.param(b'{"index":"a"}\n{}\n\n{}\n', ["a", None], id="empty header"),
        pytest.param(b'{"index":["a","b"]}\n{}\n{"indices":"c,d"}\n{}\n', ["a,b", "c,d"], id="lists"),
        pytest.param(b'{"index":[]}\n{}\n', [None], id="empty list"),
        pytest.param(b"{}\n{}", None, id="no newline at the end"),
        pytest.param(b"{}\n", None, id="a header alone"),
        pytest.param(b"[]\n{}\nnull\n{}\n5\n{}\n", [None] * 3, id="a header that is no object has no option"),
        pytest.param(b"{]\n{}\n", None, id="a header that is no JSON"),
        pytest.param(b'{"index":"a","index":"b"}\n{}\n', None, id="a header that says two things"),
    ],
)
def test_items(text: bytes, expressions: list[str | None] | None) -> None:
    items = parse_msearch(text)

    assert (None if items is None else [item.expression for item in items]) == expressions


@given(st.binary(max_size=40))
def test_what_is_parsed_is_written_as_it_came(text: bytes) -> None:
    items = parse_msearch(text)

    if items is not None:
        assert b"".join(item.lines() for item in items) in (text, text[1:])


def test_a_search_that_is_not_json_is_an_item_without_body() -> None:
    items = parse_msearch(b'{}\n{"a":1,"a":2}\n')

    assert items is not None
    assert items[0].body is None


def test_parameters_are_the_headers_over_the_urls() -> None:
    items = parse_msearch(
        b'{"index":"a","routing":"r","ignore_unavailable":true,"expand_wildcards":["open","hidden"]}\n{}\n'
    )

    assert items is not None
    assert items[0].parameters({"routing": "x", "max_concurrent_searches": "2", "typed_keys": "true"}) == {
        "routing": "r",
        "ignore_unavailable": "true",
        "expand_wildcards": "open,hidden",
        "typed_keys": "true",
    }


def test_an_item_with_another_body_and_a_companion() -> None:
    items = parse_msearch(b'{"index":"a","routing":"r"}\n{}\n')

    assert items is not None
    assert items[0].lines(b'{"size":1}') == b'{"index":"a","routing":"r"}\n{"size":1}\n'
    beside = b'{"routing":"r","allow_partial_search_results":"false","index":["a","c"]}\n{"size":1}\n'
    assert items[0].lines(b'{"size":1}', ("a", "c")) == beside


@pytest.mark.parametrize(
    ("answer", "errors"),
    [
        pytest.param({"responses": [{"status": 200}, {"error": {"a": 1}, "status": 400}]},
                     {0: (200, b"null"), 1: (400, b'{"a":1}')}, id="two"),
        pytest.param({"responses": [{"hits": {}}]}, {}, id="filtered away"),
        pytest.param({"error": {}, "status": 400}, {}, id="an error of the whole"),
        pytest.param(None, {}, id="not JSON"),
    ],
)  # fmt: skip
def test_errors(answer: object, errors: dict[int, tuple[int, bytes]]) -> None:
    assert errors_of_items(answer) == errors


@pytest.mark.parametrize(
    ("responses", "added", "expected"),
    [
        pytest.param(b"[]", {0: b"a", 1: b"b"}, b"[a,b]", id="none of the cluster's"),
        pytest.param(b'[{"x": "],[" }, {}]', {}, b'[{"x": "],[" },{}]', id="none of ours"),
        pytest.param(b"[{},{}]", {1: b"a"}, b"[{},a,{}]", id="between"),
        pytest.param(b"[{},{}]", {0: b"a", 3: b"b"}, b"[a,{},{},b]", id="first and last"),
        pytest.param(b"[{}]", {2: b"b", 1: b"a"}, b"[{},a,b]", id="behind"),
    ],
)
def test_answers_are_put_in_their_places(responses: bytes, added: dict[int, bytes], expected: bytes) -> None:
    answer = b'{"took":1,"responses":' + responses + b"}"

    assert with_answers(answer, added, 7) == b'{"took":7,"responses":' + expected + b"}"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param({}, 4, id="nothing said"),
        pytest.param({"max_concurrent_searches": "2"}, 2, id="fewer"),
        pytest.param({"max_concurrent_searches": "20"}, 4, id="more"),
        pytest.param({"max_concurrent_searches": "none"}, 4, id="nonsense, which the cluster refuses"),
    ],
)
def test_how_many_are_fused_at_once(url: dict[str, str], expected: int) -> None:
    assert at_once(url) == expected
