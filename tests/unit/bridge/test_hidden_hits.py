"""Our fields stay out of the hits of a search, wherever they stand in its answer."""

import pytest

from sidecar.bridge.hidden_fields import Hidden
from sidecar.bridge.hidden_hits import hide_in_search, hide_in_text, is_object, replaced, with_excludes
from sidecar.jsontext import Object, loads

OURS = ("e", "e_meta")
HIDDEN = Hidden(OURS, frozenset({"e", "e_meta.pending"}), ("title",))
WITHOUT = {"_source": {"excludes": [*OURS]}}


def joined(**inner_hits: object) -> Object:
    return {"query": {"bool": {"must": [{"nested": {"path": "n", "query": {}, "inner_hits": {**inner_hits}}}]}}}


def aggregated(**top_hits: object) -> Object:
    return {"aggs": {"g": {"terms": {"field": "tag"}, "aggs": {"t": {"top_hits": {**top_hits}}}}}}


@pytest.mark.parametrize(
    ("body", "url", "changed", "excludes"),
    [
        pytest.param({}, {}, {}, OURS, id="nothing said: excluded by URL"),
        pytest.param({"_source": True}, {}, {}, OURS, id="true"),
        pytest.param({"_source": False}, {}, {}, (), id="no source"),
        pytest.param({"_source": ["a"]}, {}, {"_source": {"includes": ["a"], "excludes": [*OURS]}}, (), id="a filter"),
        pytest.param({"_source": ["a"]}, {"_source": "false"}, {}, (), id="the URL wins"),
        pytest.param({"_source": 1}, {}, {}, (), id="a form that the cluster refuses"),
        pytest.param({"_source": {"includes": [1]}}, {}, {}, (), id="a filter that the cluster refuses"),
        pytest.param({"_source": {"name": ["a"]}}, {}, {}, (), id="a name that the cluster refuses"),
        pytest.param({}, {"_source_includes": "title,e"}, {}, ("e_meta",), id="named in the URL"),
        pytest.param({"stored_fields": ["_none_"]}, {}, {}, (), id="no stored fields"),
        pytest.param({"stored_fields": ["_source"]}, {"stored_fields": "year"}, {}, (), id="the URL's stored fields win"),
        pytest.param({"script_fields": {"a": {}}}, {}, {}, (), id="script fields"),
        pytest.param({"_source": False, "fields": ["*"]}, {}, {"fields": ["title", "title.*"]}, (), id="all fields"),
        pytest.param({"_source": False, "docvalue_fields": ["e*"]}, {}, {"docvalue_fields": []}, (), id="doc values"),
        pytest.param(aggregated(), {}, aggregated(**WITHOUT), OURS, id="top hits"),
        pytest.param(aggregated(_source=False, fields=["e*"]), {}, aggregated(_source=False, fields=[]), OURS,
                     id="the fields of top hits"),
        pytest.param(aggregated(stored_fields="_none_"), {}, {}, OURS, id="top hits without a source"),
        pytest.param({"aggregations": aggregated()["aggs"]}, {}, {"aggregations": aggregated(**WITHOUT)["aggs"]}, OURS,
                     id="the long name"),
        pytest.param({"aggs": {"top_hits": {"terms": {"field": "top_hits"}}}}, {}, {}, OURS, id="a name of a bucket"),
        pytest.param({"collapse": {"field": "a", "inner_hits": {"name": "x"}}}, {},
                     {"collapse": {"field": "a", "inner_hits": {"name": "x", **WITHOUT}}}, OURS, id="collapse"),
        pytest.param({"collapse": {"field": "a", "inner_hits": [{}, {"_source": False}]}}, {},
                     {"collapse": {"field": "a", "inner_hits": [WITHOUT, {"_source": False}]}}, OURS, id="collapse, two"),
        pytest.param(joined(), {}, joined(**WITHOUT), OURS, id="inner hits"),
        pytest.param({"post_filter": joined()["query"]}, {}, {"post_filter": joined(**WITHOUT)["query"]}, OURS,
                     id="inner hits of a filter"),
        pytest.param({"query": {"term": {"inner_hits": {"value": 1}}}}, {}, {}, OURS, id="a field of that name"),
        pytest.param({"query": {"nested": 1}, "aggs": [], "collapse": 2}, {}, {}, OURS, id="what the cluster refuses"),
    ],
)  # fmt: skip
def test_hide_in_search(body: Object, url: dict[str, str], changed: Object, excludes: tuple[str, ...]) -> None:
    assert hide_in_search(body, url, HIDDEN) == (changed, excludes)


@pytest.mark.parametrize("hidden", [Hidden(), Hidden(OURS, in_source=False)])
def test_nothing_changes_without_hidden_fields_or_without_a_source(hidden: Hidden) -> None:
    assert hide_in_search({"_source": ["a"]}, {}, hidden) == ({}, ())
    assert hide_in_text(b"{}", {}, hidden) == ({}, ())


@pytest.mark.parametrize(
    ("text", "changed", "excludes"),
    [
        pytest.param(b'{"size":1,"size":1}', {}, OURS, id="a key twice"),
        pytest.param(b'{"a":' * 300 + b"1" + b"}" * 300, {}, OURS, id="deep"),
        pytest.param(b'{"_source":["a"],"b":1,"b":2}', {"_source": {"includes": ["a"], "excludes": [*OURS]}}, (),
                     id="with a filter"),
        pytest.param(b"---\nsize: 1\n", {}, OURS, id="YAML"),
        pytest.param(b"---\n_source: [a]\n", {}, (), id="YAML with a filter"),
        pytest.param(b"[]", {}, OURS, id="no object"),
        pytest.param(b'{"_source":["a"],"b":"' + b"x" * 1_048_576 + b'"}', {}, (), id="too large to read"),
    ],
)  # fmt: skip
def test_hide_in_text(text: bytes, changed: Object, excludes: tuple[str, ...]) -> None:
    assert hide_in_text(text, {}, HIDDEN) == (changed, excludes)


def test_replaced_members_leave_the_others_as_they_were() -> None:
    assert replaced(b'{"_source": ["a"], "b": 1.50}', {"_source": False}) == b'{"_source": false, "b": 1.50}'
    assert replaced(b'{"b": 1.50}', {"_source": False}) == b'{"b": 1.50,"_source":false}'


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"size":1}'.encode("utf-16"), id="UTF-16"),
        pytest.param(b'\xef\xbb\xbf{"size":1}', id="a BOM"),
        pytest.param(b'{/* "a": */"size":1}', id="a comment"),
    ],
)
def test_members_are_replaced_in_every_form_that_the_cluster_reads(text: bytes) -> None:
    assert loads(replaced(text, {"size": 2, "_source": False})) == {"size": 2, "_source": False}


def test_a_source_of_null_is_the_cluster_s_to_refuse() -> None:
    assert hide_in_search({"_source": None}, {}, Hidden(("v",))) == ({}, ())


def test_a_search_may_have_to_exclude_by_itself() -> None:
    assert with_excludes({"size": 1}, ("e",)) == {"size": 1, "_source": {"excludes": ["e"]}}
    assert with_excludes({"size": 1}, ()) == {"size": 1}


def test_only_an_object_has_members() -> None:
    assert (is_object(b'{"a":1,"a":2}'), is_object(b""), is_object(b"[]"), is_object(b"a: 1")) == (
        True,
        False,
        False,
        False,
    )
