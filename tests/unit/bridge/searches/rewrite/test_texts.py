"""Which text a clause searches for, and which texts are exact-match wishes: one row per rule."""

import pytest

from sidecar.bridge.searches.outcome import Reason
from sidecar.bridge.searches.rewrite.text_fields import TextFields
from sidecar.bridge.searches.rewrite.texts import TEXT_READERS

FIELDS = TextFields(frozenset({"title", "abstract"}))


def read(kind: str, **spec: object) -> str | Reason:
    return TEXT_READERS[kind](spec, FIELDS)


@pytest.mark.parametrize(
    "text",
    [
        "dogs",
        "how do dogs bark",
        "state-of-the-art e-mail",
        "AT&T research",
        "50% of C++ programmers' and others",
        "Land or sea, and not otherwise",
        "ANDROID NOTHING ORDER",
        "costs $5; it's #1",
    ],
)
def test_free_text_of_a_query_string(text: str) -> None:
    assert read("query_string", query=text) == text


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("title:dogs", id="field"),
        pytest.param("dog*", id="many characters"),
        pytest.param("dog?", id="one character"),
        pytest.param('"dogs bark"', id="phrase"),
        pytest.param("dogs AND cats", id="and"),
        pytest.param("dogs OR cats", id="or"),
        pytest.param("NOT dogs", id="not"),
        pytest.param("dogs && cats", id="&&"),
        pytest.param("dogs || cats", id="||"),
        pytest.param("+dogs cats", id="required"),
        pytest.param("dogs -cats", id="excluded"),
        pytest.param("dogs !cats", id="excluded, in the other way"),
        pytest.param("dogs~", id="fuzzy"),
        pytest.param("dogs^2 cats", id="boost"),
        pytest.param("(dogs cats)", id="group"),
        pytest.param("[1 TO 5]", id="range"),
        pytest.param("{1 TO 5}", id="open range"),
        pytest.param("/do.s/", id="regular expression"),
        pytest.param("do\\gs", id="escape"),
    ],
)
def test_lucene_syntax_is_an_exact_match_wish(text: str) -> None:
    assert read("query_string", query=text) is Reason.EXACT_MATCH


@pytest.mark.parametrize(
    "text", ["dogs", "what is BM25?", "title: a history", "e-mail and dogs AND cats", "C# [draft]"]
)
def test_free_text_of_a_simple_query_string(text: str) -> None:
    assert read("simple_query_string", query=text) == text


@pytest.mark.parametrize(
    "text", ["dogs + cats", "dogs | cats", "-dogs", "dog*", "dogs~2", '"dogs bark"', "(dogs)", "a\\b"]
)
def test_simple_syntax_is_an_exact_match_wish_unless_it_is_switched_off(text: str) -> None:
    assert read("simple_query_string", query=text) is Reason.EXACT_MATCH
    assert read("simple_query_string", query=text, flags="NONE") == text


@pytest.mark.parametrize(
    ("kind", "spec", "expected"),
    [
        pytest.param("multi_match", {"query": "a", "type": "cross_fields", "fields": ["title"]}, "a", id="cross_fields"),
        pytest.param("multi_match", {"query": "a", "type": "phrase_prefix"}, Reason.EXACT_MATCH, id="phrase_prefix"),
        pytest.param("multi_match", {"query": "a", "type": "bool_prefix"}, Reason.QUERY_TYPE, id="bool_prefix"),
        pytest.param("combined_fields", {"query": "a", "fields": ["title", "x"]}, "a", id="combined fields"),
        pytest.param("combined_fields", {"query": "a", "fields": ["x"]}, Reason.UNBOUND_FIELDS, id="unbound"),
        pytest.param("combined_fields", {"query": "a", "fields": ["title"], "operator": "and"}, Reason.EXACT_MATCH,
                     id="combined fields, all words"),
        pytest.param("query_string", {"query": "a", "default_field": "title"}, "a", id="default field"),
        pytest.param("query_string", {"query": "a", "default_field": "x"}, Reason.UNBOUND_FIELDS, id="another one"),
        pytest.param("query_string", {"query": "a", "fields": ["x"], "default_field": "title"}, Reason.UNBOUND_FIELDS,
                     id="fields win over the default field"),
        pytest.param("query_string", {"query": "a", "fields": ["abs*^2"]}, "a", id="pattern with a boost"),
        pytest.param("query_string", {"query": "a", "default_operator": "AND"}, Reason.EXACT_MATCH, id="all words"),
        pytest.param("query_string", {"query": "a", "type": "phrase"}, Reason.EXACT_MATCH, id="phrase type"),
        pytest.param("query_string", {"query": "a", "minimum_should_match": 2}, Reason.EXACT_MATCH, id="minimum"),
        pytest.param("simple_query_string", {"query": "a", "fields": ["x"]}, Reason.UNBOUND_FIELDS, id="simple, unbound"),
        pytest.param("simple_query_string", {"query": "a", "default_operator": "and"}, Reason.EXACT_MATCH,
                     id="simple, all words"),
        pytest.param("simple_query_string", {"query": " "}, Reason.NO_TEXT, id="empty"),
        pytest.param("multi_match", {"query": "?! \u200b..."}, Reason.NO_TEXT, id="no letter, digit or symbol"),
        pytest.param("multi_match", {"query": "\u20ac"}, "\u20ac", id="a symbol"),
        pytest.param("multi_match", {"query": "\u0378"}, "\u0378", id="a character of a later Unicode"),
        pytest.param("multi_match", {"query": "a", "fields": ["title*"] * 1_024}, "a", id="as many fields as can be"),
        pytest.param("multi_match", {"query": "a", "fields": ["title*"] * 1_025}, Reason.TOO_LARGE, id="one field more"),
        pytest.param("query_string", {"query": "a", "fields": ["x"] * 9_999}, Reason.TOO_LARGE, id="many fields"),
        pytest.param("multi_match", {"query": "a", "type": ["phrase"]}, Reason.QUERY_TYPE, id="a type that is a list"),
        pytest.param("query_string", {"query": "a", "type": {}}, "a", id="a type that is an object"),
        pytest.param("multi_match", {"query": "a", "fields": [{"a": ["\ud800"]}, None, 5]}, Reason.UNBOUND_FIELDS,
                     id="fields that are no names"),
    ],
)  # fmt: skip
def test_options(kind: str, spec: dict[str, object], expected: object) -> None:
    assert read(kind, **spec) == expected


@pytest.mark.parametrize("kind", list(TEXT_READERS))
def test_a_clause_that_is_no_object_is_not_read(kind: str) -> None:
    assert TEXT_READERS[kind](["a"], FIELDS) is Reason.QUERY_TYPE
