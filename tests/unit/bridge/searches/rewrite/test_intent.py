"""Which text the user meant, and which constraints hold for every hit: one row per rule."""

import pytest

from sidecar.bridge.searches.outcome import Reason
from sidecar.bridge.searches.rewrite.intent import Intent
from sidecar.bridge.searches.rewrite.text_fields import TextFields

FIELDS = TextFields(frozenset({"title", "abstract"}))
MATCH = {"match": {"title": "dogs"}}
TERM = {"term": {"year": 2020}}
RANGE = {"range": {"year": {"gte": 2020}}}


@pytest.mark.parametrize(
    ("query", "text", "knn_filter"),
    [
        pytest.param(MATCH, "dogs", None, id="match"),
        pytest.param({"match": {"title": {"query": "dogs", "boost": 2}}}, "dogs", None, id="match, long form"),
        pytest.param({"multi_match": {"query": "dogs", "fields": ["title^2", "other"]}}, "dogs", None,
                     id="one of several fields is enough, boosts or not"),
        pytest.param({"multi_match": {"query": "dogs", "fields": ["ti*"]}}, "dogs", None, id="field pattern"),
        pytest.param({"multi_match": {"query": "dogs"}}, "dogs", None, id="no fields: all"),
        pytest.param({"multi_match": {"query": "dogs", "type": "most_fields", "fields": "title"}}, "dogs", None,
                     id="most_fields"),
        pytest.param({"bool": {"must": MATCH}}, "dogs", None, id="bool with one must"),
        pytest.param({"bool": {"must": [MATCH], "filter": TERM}}, "dogs", TERM, id="one filter"),
        pytest.param({"bool": {"must": [MATCH], "filter": [TERM, RANGE]}}, "dogs", {"bool": {"filter": [TERM, RANGE]}},
                     id="several filters"),
        pytest.param({"bool": {"must": [MATCH], "must_not": [TERM]}}, "dogs", {"bool": {"must_not": [TERM]}},
                     id="must_not"),
        pytest.param({"bool": {"must": [MATCH, TERM]}}, "dogs", TERM, id="a must that is no text is a filter"),
        pytest.param({"bool": {"must": [MATCH, {"match": {"other": "x"}}]}}, "dogs", {"match": {"other": "x"}},
                     id="a must on an unbound field is a filter"),
        pytest.param({"bool": {"must": [MATCH], "should": [{"match": {"abstract": "cats"}}]}}, "dogs cats", None,
                     id="must and should text"),
        pytest.param({"bool": {"should": [MATCH, {"match": {"abstract": "dogs"}}]}}, "dogs", None, id="equal texts once"),
        pytest.param({"bool": {"should": [MATCH, TERM]}}, "dogs", None, id="an optional boost is no constraint"),
        pytest.param({"bool": {"must": [MATCH], "should": [{"match_phrase": {"title": "dogs"}}]}}, "dogs", None,
                     id="a phrase beside words is a boost"),
        pytest.param({"bool": {"must": [{"bool": {"must": [MATCH], "filter": [TERM]}}], "filter": [RANGE]}}, "dogs",
                     {"bool": {"filter": [TERM, RANGE]}}, id="nested bool, every filter kept"),
        pytest.param({"dis_max": {"queries": [MATCH, {"match": {"abstract": "cats"}}], "tie_breaker": 0.3}}, "dogs cats",
                     None, id="dis_max: the texts of its alternatives"),
        pytest.param({"bool": {"must": [MATCH, {"dis_max": {"queries": [TERM, RANGE]}}]}}, "dogs",
                     {"dis_max": {"queries": [TERM, RANGE]}}, id="alternatives without text are a constraint"),
        pytest.param({"bool": {"must": [MATCH, {"bool": {"should": [TERM, RANGE]}}]}}, "dogs",
                     {"bool": {"should": [TERM, RANGE]}}, id="so is a bool of them"),
        pytest.param({"bool": {"must": [MATCH, {"bool": {"should": [TERM, RANGE], "minimum_should_match": 2}}]}}, "dogs",
                     {"bool": {"should": [TERM, RANGE], "minimum_should_match": 2}},
                     id="whatever the bool asks of them"),
        pytest.param({"bool": {"must": [MATCH, {"function_score": {}}]}}, "dogs", {"function_score": {}},
                     id="a must that we do not read is a filter"),
        pytest.param({"bool": {"should": [MATCH, {"bool": {"must": [TERM]}}]}}, "dogs", None,
                     id="an alternative without text is a boost"),
        *(pytest.param({"bool": {"must": [MATCH], "should": [RANGE], "minimum_should_match": minimum}}, "dogs", None,
                       id=f"none of the alternatives must match: {minimum!r}") for minimum in (0, "0", "0%", -1)),
        *(pytest.param({"bool": {"should": [MATCH, {"match": {"abstract": "cats"}}], "minimum_should_match": minimum}},
                       "dogs cats", None, id=f"one of them must match, as without {minimum!r}")
          for minimum in (0, 1, "1", "50%", -1)),
        pytest.param({"bool": {"should": [MATCH], "filter": [TERM], "minimum_should_match": 1}}, "dogs", TERM,
                     id="the text is needed beside a filter"),
        pytest.param({"bool": {"must": [MATCH], "should": [TERM, RANGE], "minimum_should_match": 1}}, "dogs",
                     {"bool": {"should": [TERM, RANGE], "minimum_should_match": 1}},
                     id="one of several constraints must match"),
        pytest.param({"bool": {"must": [MATCH], "should": [{"match_phrase": {"title": "x"}}], "minimum_should_match": 1}},
                     "dogs", {"bool": {"should": [{"match_phrase": {"title": "x"}}], "minimum_should_match": 1}},
                     id="a phrase that must match beside words"),
        *(pytest.param({"match": {"title": {"query": "dogs", "minimum_should_match": minimum}}}, "dogs", None,
                       id=f"one word of a match is enough: {minimum!r}") for minimum in (0, 1, "1")),
        pytest.param({"bool": {"must": [MATCH], "filter": [{"match": {"title": "cats"}}]}}, "dogs",
                     {"match": {"title": "cats"}}, id="text in a filter constrains and does not score"),
    ],
)  # fmt: skip
def test_eligible(query: object, text: str, knn_filter: object) -> None:
    intent = Intent(FIELDS)

    assert intent.take(query) is None
    assert intent.text == text
    assert intent.knn_filter == knn_filter


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        pytest.param(None, Reason.NO_TEXT, id="no query"),
        pytest.param({"match_all": {}}, Reason.NO_TEXT, id="match_all"),
        pytest.param({"match": {"title": ""}}, Reason.NO_TEXT, id="empty text"),
        pytest.param({"match": {"title": 3}}, Reason.NO_TEXT, id="a number"),
        pytest.param({"match": {"other": "dogs"}}, Reason.UNBOUND_FIELDS, id="unbound field"),
        pytest.param({"multi_match": {"query": "x", "fields": ["other"]}}, Reason.UNBOUND_FIELDS, id="unbound fields"),
        pytest.param({"match": {"title": {"query": "a b", "operator": "AND"}}}, Reason.EXACT_MATCH, id="operator and"),
        pytest.param({"match": {"title": {"query": "a b", "minimum_should_match": "2"}}}, Reason.EXACT_MATCH,
                     id="minimum_should_match"),
        pytest.param({"multi_match": {"query": "a", "type": "phrase", "fields": ["title"]}}, Reason.EXACT_MATCH,
                     id="phrase type"),
        pytest.param({"multi_match": {"query": "a", "type": "bool_prefix", "fields": ["title"]}}, Reason.QUERY_TYPE,
                     id="search as you type"),
        pytest.param({"match_phrase": {"title": "a b"}}, Reason.EXACT_MATCH, id="phrase"),
        pytest.param({"bool": {"must": [MATCH, {"match_phrase": {"title": "a"}}]}}, Reason.EXACT_MATCH,
                     id="a phrase that must match"),
        pytest.param({"bool": {"should": [MATCH, MATCH], "minimum_should_match": 2}}, Reason.EXACT_MATCH,
                     id="several texts that must match"),
        pytest.param({"bool": {"should": [MATCH, MATCH], "minimum_should_match": "1<2"}}, Reason.EXACT_MATCH,
                     id="a minimum that we do not read"),
        pytest.param({"bool": {"should": [{"bool": {"must": [MATCH], "filter": [TERM]}}]}}, Reason.QUERY_TYPE,
                     id="a constraint of one alternative"),
        pytest.param({"bool": {"should": [{"bool": {"must": [MATCH, TERM]}}]}}, Reason.QUERY_TYPE,
                     id="a must of one alternative"),
        pytest.param({"function_score": {"query": MATCH}}, Reason.QUERY_TYPE, id="another query"),
        pytest.param({"boosting": {"positive": MATCH, "negative": TERM}}, Reason.QUERY_TYPE, id="boosting"),
        pytest.param({"constant_score": {"filter": MATCH}}, Reason.QUERY_TYPE, id="text that does not score"),
        pytest.param({"dis_max": {"queries": [MATCH], "new": 1}}, Reason.QUERY_TYPE, id="dis_max with a key we do not know"),
        pytest.param({"dis_max": []}, Reason.QUERY_TYPE, id="not a dis_max"),
        pytest.param({"knn": {"embedding": {"vector": [1], "k": 1}}}, Reason.QUERY_TYPE, id="the client's own knn"),
        pytest.param({"match": MATCH["match"], "term": {}}, Reason.QUERY_TYPE, id="not a query"),
    ],
)  # fmt: skip
def test_not_eligible(query: object, reason: Reason) -> None:
    assert Intent(FIELDS).take(query) is reason


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        pytest.param({"bool": {"filter": [TERM]}}, Reason.NO_TEXT, id="only filters"),
        pytest.param({"bool": {"should": [{"match": {"other": "x"}}]}}, Reason.UNBOUND_FIELDS, id="only unbound text"),
        pytest.param({"bool": {"should": [{"match_phrase": {"title": "x"}}]}}, Reason.EXACT_MATCH, id="only a phrase"),
    ],
)
def test_a_bool_without_text_says_why(query: object, reason: Reason) -> None:
    intent = Intent(FIELDS)

    assert intent.take(query) is None
    assert (intent.text, intent.why_no_text) == ("", reason)


@pytest.mark.parametrize(
    "query",
    [
        pytest.param({"multi_match": {"query": "dogs"}}, id="multi_match"),
        pytest.param({"multi_match": {"query": "dogs", "fields": []}}, id="an empty list of fields"),
        pytest.param({"query_string": {"query": "dogs"}}, id="query_string"),
        pytest.param({"simple_query_string": {"query": "dogs"}}, id="simple_query_string"),
    ],
)
def test_index_query_default_field_may_leave_out_the_text(query: object) -> None:
    assert Intent(FIELDS).take(query) is None
    assert Intent(TextFields(FIELDS.names, by_default=False)).take(query) is Reason.UNBOUND_FIELDS


def test_a_clause_that_names_its_fields_does_not_ask_for_the_default() -> None:
    fields = TextFields(FIELDS.names, by_default=False)

    assert Intent(fields).take({"query_string": {"query": "dogs", "default_field": "*"}}) is None
    assert Intent(fields).take({"multi_match": {"query": "dogs", "fields": ["title"]}}) is None
