"""What `filter_path` and `pretty` leave of an answer; tests/cluster/bridge/proxy/test_presentation.py asks the cluster."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.bridge.proxy.presentation import asked_format, filtered, indented, is_binary, present

ANSWER = (
    b'{"took":3,"errors":true,"items":['
    b'{"index":{"_id":"1","_seq_no":12345678901234567890,"status":201,"_shards":{}}},'
    b'{"update":{"_id":"a.b","status":404,"error":{"type":"t","caused.by":{"type":"c"}},"got":[1.50,{"type":[]}]}}]}'
)


@pytest.mark.parametrize(
    ("filter_path", "left"),
    [
        pytest.param("", ANSWER, id="nothing is asked"),
        pytest.param("took,errors", b'{"took":3,"errors":true}', id="names"),
        pytest.param(" took , ", b'{"took":3}', id="spaces and an empty name"),
        pytest.param("items.*.status", b'{"items":[{"index":{"status":201}},{"update":{"status":404}}]}', id="any key"),
        pytest.param("items.index._seq_no", b'{"items":[{"index":{"_seq_no":12345678901234567890}}]}', id="the bytes stay"),
        pytest.param("items.up*.g*t", b'{"items":[{"update":{"got":[1.50,{"type":[]}]}}]}', id="globs"),
        pytest.param("**.type", b'{"items":[{"update":{"error":{"type":"t","caused.by":{"type":"c"}},"got":[{"type":[]}]}}]}',
                     id="at any depth"),
        pytest.param("items.update.error.caused\\.by", b'{"items":[{"update":{"error":{"caused.by":{"type":"c"}}}}]}',
                     id="a dot in a key"),
        pytest.param("took.", b'{"took":3}', id="a dot at the end"),
        pytest.param("took.x,nothing", b"{}", id="nothing matches"),
        pytest.param("-items", b'{"took":3,"errors":true}', id="without"),
        pytest.param("-items.*.error,-**.got,-**._shards,-**.status,-**._seq_no",
                     b'{"took":3,"errors":true,"items":[{"index":{"_id":"1"}},{"update":{"_id":"a.b"}}]}', id="without some"),
        pytest.param("items,-items.index", b'{"items":[{"update":{"_id":"a.b","status":404,"error":{"type":"t",'
                     b'"caused.by":{"type":"c"}},"got":[1.50,{"type":[]}]}}]}', id="both"),
        pytest.param("-**", b"{}", id="without all"),
    ],
)  # fmt: skip
def test_filter_path(filter_path: str, left: bytes) -> None:
    assert filtered(ANSWER, filter_path) == left


def test_pretty() -> None:
    assert indented(b'{"a":{},"b":[],"c":[1,{"d":"x:,\\"{"}],"e":1.50}') == (
        b'{\n  "a" : { },\n  "b" : [ ],\n  "c" : [\n    1,\n    {\n      "d" : "x:,\\"{"\n    }\n  ],\n  "e" : 1.50\n}\n'
    )


def test_both() -> None:
    assert present(ANSWER, {"filter_path": "took", "pretty": ""}) == b'{\n  "took" : 3\n}\n'
    assert present(ANSWER, {"pretty": "false"}) == ANSWER


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('ab.*\\{":,', max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab.", max_size=2), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text("ab.", max_size=2), values, max_size=4))
def test_whatever_is_indented_means_the_same(answer: dict[str, object]) -> None:
    assert json.loads(indented(json.dumps(answer, separators=(",", ":")).encode())) == answer


@pytest.mark.parametrize(
    ("answer", "filter_path"),
    [
        pytest.param(b'{"%s":1}' % (b"a" * 30), "*a" * 25 + "b", id="many stars in a name"),
        pytest.param(b'{"a":' * 60 + b"1" + b"}" * 60, ".".join(["**"] * 20) + ".b", id="many stars in a path"),
        pytest.param(b'{"a":' * 2_000 + b"1" + b"}" * 2_000, "**.b", id="a deep answer"),
        pytest.param(b'{"a":1}', ".".join(["**"] * 2_000), id="a deep path"),
    ],
)
def test_no_filter_takes_long_or_breaks(answer: bytes, filter_path: str) -> None:
    assert filtered(answer, filter_path) == b"{}"  # would not come back in this century


def test_a_deep_answer_keeps_what_is_not_filtered() -> None:
    deep = b'{"a":[' * 2_000 + b'{"b":1}' + b"]}" * 2_000

    assert filtered(deep, "**.b") == filtered(deep, "-**.c") == deep


@given(st.dictionaries(st.text("ab.", max_size=2), values, max_size=4), st.text("ab.*,-\\", max_size=12))
def test_whatever_is_filtered_is_json(answer: dict[str, object], filter_path: str) -> None:
    json.loads(filtered(json.dumps(answer, separators=(",", ":")).encode(), filter_path))


@pytest.mark.parametrize(
    ("parameters", "accept", "expected"),
    [
        pytest.param({}, "", False, id="nothing is said"),
        pytest.param({"format": "cbor"}, "application/json", True, id="the URL wins"),
        pytest.param({"format": "yaml"}, "application/cbor", False, id="which may be text"),
        pytest.param({}, "application/smile", True, id="header"),
        pytest.param({}, "application/cbor;q=0.1, application/json", True, id="as the cluster reads it"),
        pytest.param({}, "*/*", False, id="anything"),
    ],
)
def test_formats_that_are_not_text(parameters: dict[str, str], accept: str, expected: bool) -> None:
    assert is_binary(parameters, accept) is expected


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", {}),
        ("*/*", {}),
        ("application/json", {}),
        ("application/YAML; charset=UTF-8", {"format": "yaml"}),
        ("application/cbor", {"format": "cbor"}),
        ("application/smile", {"format": "smile"}),
    ],
)
def test_a_format_that_the_bridge_does_not_write(accept: str, expected: dict[str, str]) -> None:
    assert asked_format(accept) == expected
