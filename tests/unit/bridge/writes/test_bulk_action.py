"""Action lines are read as BulkRequestParser reads them: the first member, and values as they are written."""

import pytest

from sidecar.bridge.writes.bulk_action import Action, Operation, parameters_of, parse_action, plain_action
from sidecar.jsontext import loads


@pytest.mark.parametrize(
    ("line", "operation"),
    [
        pytest.param(b'{"index":{"_id":"1"}}', Operation(Action.INDEX, "i", "1"), id="plain"),
        pytest.param(b'{"index":{"_id":1e3}}', Operation(Action.INDEX, "i", "1e3"), id="an exponent"),
        pytest.param(b'{"index":{"_id":1.50}}', Operation(Action.INDEX, "i", "1.50"), id="a fraction"),
        pytest.param(b'{"index":{"_id":-0}}', Operation(Action.INDEX, "i", "-0"), id="a negative zero"),
        pytest.param(b'{"index":{"_id":%d}}' % 10**30, Operation(Action.INDEX, "i", str(10**30)), id="a long integer"),
        pytest.param(b'{"index":{"_index":2024,"_id":7}}', Operation(Action.INDEX, "2024", "7"), id="integers"),
        pytest.param(b'{"index":{"_index":1.50,"_id":true}}', Operation(Action.INDEX, "1.50", "true"), id="a boolean"),
        pytest.param(b'{"index":{"_index":false}}', Operation(Action.INDEX, "false", None), id="an index of a boolean"),
        pytest.param(b'{"index":{"_index":null,"_id":null}}', Operation(Action.INDEX, "i", None), id="null"),
        pytest.param(b'{"index":{"_index":""}}', Operation(Action.INDEX, "", None), id="an empty index"),
        pytest.param(b'{"index":{"_index":"a\\ud800"}}', Operation(Action.INDEX, "a\ud800", None), id="half a pair"),
        pytest.param(b'{"index":{"op_type":"create"}}', Operation(Action.CREATE, "i", None), id="a type of operation"),
        pytest.param(b'\xef\xbb\xbf{"delete":{"_id":"1"}}', Operation(Action.DELETE, "i", "1"), id="a BOM"),
        pytest.param(b'/**/{"delete":{"_id":"1"}}//', Operation(Action.DELETE, "i", "1"), id="comments"),
        pytest.param('{"delete":{"_id":"1"}}'.encode("utf-16-le"), Operation(Action.DELETE, "i", "1"), id="UTF-16"),
        pytest.param(b'{"\xc1\xb5pdate":{"_id":"\xc0\x80"}}', Operation(Action.UPDATE, "i", "\0"), id="long forms"),
        pytest.param(b'{"index":{"_id":"1"},"index":{"_id":"2"}}', Operation(Action.INDEX, "i", "1"), id="one action twice"),
        pytest.param(b'{"index":{"_id":"1"},"delete":{}}', Operation(Action.INDEX, "i", "1"), id="two actions"),
        pytest.param(b'{"index":{"_id":"1"},"index":5}', Operation(Action.INDEX, "i", "1"), id="then no object"),
        pytest.param(b'{"index":{"_id":"1"}', Operation(Action.INDEX, "i", "1"), id="no end"),
        pytest.param(b'{"index":{"_id":"1"}} etc. "', Operation(Action.INDEX, "i", "1"), id="more text"),
        pytest.param(b'{"update":{"_id":"{","_source":{"includes":["a"]}}}', Operation(Action.UPDATE, "i", "{"), id="braces"),
    ],
)  # fmt: skip
def test_an_action_is_read(line: bytes, operation: Operation) -> None:
    assert parse_action(line, "i") == operation
    plain = plain_action(line)
    assert parse_action(plain, "i") == operation
    assert list(loads(plain)) == [
        Action.INDEX if operation.action is Action.CREATE else operation.action,
    ]


@pytest.mark.parametrize(
    "line",
    [
        b"", b"{}", b"5", b'"index"', b'[{"index":{}}]', b'{"index":null}', b'{"insert":{}}', b'{"index":{"_idd":"1"}}',
        b'{"index":{"_id":[1]}}', b'{"index":{"_id":{}}}', b'{"index":{"_id":1.5,"_id":2.5}}', b'{"index":{"_id":"\xff"}}',
        b'x{"index":{}}', b'{ }{"index":{}}', b'{"index":{"_id":NaN}}',
    ],
)  # fmt: skip
def test_what_the_cluster_refuses_is_no_action(line: bytes) -> None:
    assert parse_action(line, "i") is None


def test_without_any_index_there_is_no_operation() -> None:
    assert parse_action(b'{"index":{}}', None) is None


def test_parameters_keep_what_they_say() -> None:
    line = b'{"update":{"routing":1e3,"require_alias":true,"_source":{"includes":["a"]}} etc.'

    assert parameters_of(line) == {"routing": "1e3", "require_alias": True, "_source": {"includes": ["a"]}}


def test_a_plain_line_stays_as_it_is() -> None:
    line = b' {"update" : {"_id":"1","routing":5} }\r'

    assert plain_action(line) is line


@pytest.mark.parametrize("coding", ["utf-16", "utf-16-le", "utf-32"])
def test_a_line_of_wide_characters_is_read_without_its_end(coding: str) -> None:
    line = '{"update":{"_id":"a"}, "more":{}}'.encode(coding) + b"\n"

    assert parse_action(line, "i") == Operation(Action.UPDATE, "i", "a")
