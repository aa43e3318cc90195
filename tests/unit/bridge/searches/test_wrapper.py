"""Queries in base64, which are read as what they hold."""

import base64
import json

import pytest

from sidecar.bridge.proxy.nesting import NestedTooDeeply
from sidecar.bridge.searches.search_body import parse_search
from sidecar.bridge.searches.wrapper import may_hold_wrapper, unwrapped
from sidecar.jsontext import Json, dumps

MATCH: Json = {"match": {"title": "dogs"}}


def wrapped(query: object) -> Json:
    text = query if isinstance(query, bytes) else json.dumps(query).encode()
    return {"wrapper": {"query": base64.b64encode(text).decode()}}


@pytest.mark.parametrize(
    ("query", "opened"),
    [
        pytest.param(wrapped(MATCH), MATCH, id="the whole query"),
        pytest.param({"bool": {"must": [wrapped(MATCH)]}}, {"bool": {"must": [MATCH]}}, id="in a bool"),
        pytest.param(wrapped({"bool": {"must": wrapped(MATCH)}}), {"bool": {"must": MATCH}}, id="in a wrapper"),
        pytest.param(MATCH, MATCH, id="none"),
    ],
)
def test_a_wrapper_is_the_query_in_it(query: Json, opened: Json) -> None:
    assert parse_search(dumps({"query": query})) == {"query": opened}


@pytest.mark.parametrize(
    "query",
    [
        pytest.param({"wrapper": {"query": "no base64"}}, id="no base64"),
        pytest.param({"wrapper": {"query": 7}}, id="no text"),
        pytest.param({"wrapper": {"query": "e30=", "boost": 2}}, id="an option that the cluster refuses"),
        pytest.param(wrapped({}), id="no query in it"),
        pytest.param(wrapped(b"[]"), id="a list"),
        pytest.param(wrapped(b"{"), id="no JSON"),
        pytest.param(wrapped(b'{"a":1,"a":2}'), id="a doubled key"),
        pytest.param(wrapped(b'{"a":[' + b"{}," * 20_001 + b"{}]}"), id="more than the bridge plans"),
        pytest.param({"wrapper": {"terms": {"field": "a"}}}, id="an aggregation of this name"),
    ],
)
def test_one_that_cannot_be_read_is_left_to_the_cluster(query: Json) -> None:
    assert unwrapped(query, 10) == query


def test_depth_is_counted_through_wrappers() -> None:
    with pytest.raises(NestedTooDeeply):
        unwrapped(wrapped(b'{"a":' * 1_001 + b"1" + b"}" * 1_001), 200)
    inner = wrapped(b'{"a":' * 150 + b"1" + b"}" * 150)
    with pytest.raises(NestedTooDeeply):
        unwrapped({"a": [[[[wrapped({"a": [[[[inner]]]]})]]]]}, 150)


def test_most_bodies_hold_none() -> None:
    assert may_hold_wrapper(b'{"query":{"wrapper":{}}}')
    assert may_hold_wrapper(b'{"\\u0077rapper":{}}')
    assert not may_hold_wrapper(b'{"query":{"match":{}}}')
