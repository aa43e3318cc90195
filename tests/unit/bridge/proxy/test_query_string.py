"""Query strings are changed without touching any other byte."""

import pytest

from sidecar.bridge.proxy.query_string import (
    body_in_query,
    join_target,
    parameters,
    with_parameters,
    with_source_excludes,
    without_parameters,
)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param("sidecar=off", "", id="alone"),
        pytest.param("a=%7E&sidecar=off&pretty", "a=%7E&pretty", id="other bytes stay"),
        pytest.param("sidecars=1", "sidecars=1", id="a longer name"),
        pytest.param("side%63ar=off&a", "a", id="an encoded name"),
        pytest.param("a;sidecar=off;b", "a;b", id="semicolons"),
        pytest.param("a=1&&", "a=1&&", id="nothing to take off"),
        pytest.param("a=1;sidecar=off;b", "a=1;b", id="separated by semicolons"),
        pytest.param("sidecar=off;a&&b", "a&&b", id="the first of several"),
    ],
)
def test_without_parameters(query: str, expected: str) -> None:
    assert without_parameters(query, "sidecar") == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param("", "_source_excludes=e,e_meta", id="alone"),
        pytest.param("pretty&a=;", "pretty&a=;&_source_excludes=e,e_meta", id="appended"),
        pytest.param("_source_excludes=x&b", "b&_source_excludes=x,e,e_meta", id="extended"),
        pytest.param("%5Fsource_excludes=x&b", "b&_source_excludes=x,e,e_meta", id="an encoded name"),
        pytest.param("_source_excludes=x&_source_excludes=y", "_source_excludes=y,e,e_meta", id="the last counts"),
        pytest.param("a=1;_source_excludes=x;b", "a=1;b&_source_excludes=x,e,e_meta", id="semicolons"),
        pytest.param("_source_excludes=", "_source_excludes=e,e_meta", id="extended from nothing"),
    ],
)
def test_with_source_excludes(query: str, expected: str) -> None:
    assert with_source_excludes(query, ("e", "e_meta")) == expected


def test_a_semicolon_separates_as_in_the_cluster() -> None:
    assert parameters("size=1;pretty;jwt=a%3Bb&q=c") == {"size": "1", "pretty": "", "jwt": "a;b", "q": "c"}


def test_parameters_are_decoded_and_a_bare_one_is_empty() -> None:
    assert parameters("pretty&size=%35;q=a+b") == {"pretty": "", "size": "5", "q": "a b"}


def test_with_parameters_appends_them_encoded() -> None:
    assert with_parameters("a=;", {"b": "x y", "c": 1}) == "a=;&b=x%20y&c=1"
    assert with_parameters("", {"c": 1}) == "c=1"


def test_a_target_without_a_query_has_no_question_mark() -> None:
    assert (join_target("/a", ""), join_target("/a", "b")) == ("/a", "/a?b")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param("pretty", None, id="none"),
        pytest.param("source=%7B%7D", None, id="of no stated type"),
        pytest.param("source=a&source_content_type=application/yaml", None, id="no JSON"),
        pytest.param("a&source=%7B%7D&source_content_type=application/json;b", (b"{}", "a&b"), id="JSON"),
        pytest.param("source_content_type=application%2Fjson%3B+charset=UTF-8&source=%22%C3%A9%22",
                     ('"é"'.encode(), ""), id="with a charset"),
    ],
)  # fmt: skip
def test_a_body_may_stand_in_the_query(query: str, expected: object) -> None:
    assert body_in_query(query) == expected
