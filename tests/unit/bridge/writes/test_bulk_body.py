"""Bulk requests are read as BulkRequestParser reads them."""

import io
from dataclasses import replace

import pytest

from sidecar.bridge.writes.bulk_action import Action
from sidecar.bridge.writes.bulk_body import BulkItem, load, may_update, parse_bulk, parts
from tests.support.bulks import items_of, packed


def item(action: Action, identifier: str | None, line: bytes, source: bytes | None = b"{}") -> BulkItem:
    return BulkItem(action, "i", identifier, line, source)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(b'{"index":{"_id":"1"}}\n{"a":1}\n',
                     (item(Action.INDEX, "1", b'{"index":{"_id":"1"}}', b'{"a":1}'),), id="index"),
        pytest.param(b'{"create":{}}\n{}\n', (item(Action.CREATE, None, b'{"create":{}}'),), id="create without id"),
        pytest.param(b'{"index":{"op_type":"create"}}\n{}\n',
                     (item(Action.CREATE, None, b'{"index":{"op_type":"create"}}'),), id="index that creates"),
        pytest.param(b'{"delete":{"_id":"1"}}\n',
                     (item(Action.DELETE, "1", b'{"delete":{"_id":"1"}}', None),), id="delete has no source"),
        pytest.param(b'{"update":{"_id":1}}\r\n{"doc":{}}\r\n',
                     (item(Action.UPDATE, "1", b'{"update":{"_id":1}}\r', b'{"doc":{}}'),), id="CRLF"),
        pytest.param(b'\n \n{"index":{}}\n{}\n\n', (item(Action.INDEX, None, b'{"index":{}}'),),
                     id="blank lines where an action is due"),
        pytest.param(b'{"index":{}}\n{bad\n', (item(Action.INDEX, None, b'{"index":{}}', b"{bad"),),
                     id="a bad document is the item's own error"),
        pytest.param(b'{"index":{}, "x":1}\n{}\n', (item(Action.INDEX, None, b'{"index":{}, "x":1}'),),
                     id="trailing keys are ignored"),
        pytest.param(b'{"index":{}}\n{}\n{"index":{}}\n', (item(Action.INDEX, None, b'{"index":{}}'),),
                     id="a last action without its source is dropped"),
        pytest.param(b'{"index":{"_index":"i","routing":"r","if_seq_no":1,"if_primary_term":1}}\n{}\n',
                     (item(Action.INDEX, None, b'{"index":{"_index":"i","routing":"r","if_seq_no":1,"if_primary_term":1}}'),),
                     id="metadata"),
        pytest.param(b'{"delete":{}}\n', (item(Action.DELETE, None, b'{"delete":{}}', None),),
                     id="delete without id, which the cluster refuses after reading all"),
        pytest.param(b'{"index":{"_id":"a\\ud800","routing":"\\ud800"}}\n{}\n',
                     (item(Action.INDEX, "a\ud800", b'{"index":{"_id":"a\\ud800","routing":"\\ud800"}}'),),
                     id="half a surrogate pair"),
        pytest.param(b'\xef\xbb\xbf{"index":{}}\n{}\n', (item(Action.INDEX, None, b'\xef\xbb\xbf{"index":{}}'),), id="a BOM"),
        pytest.param(b'{"index":{"_index":7}}\n{}\n',
                     (replace(item(Action.INDEX, None, b'{"index":{"_index":7}}'), index="7"),), id="a number as an index"),
        pytest.param(b'{"index":{"_index":"a\\ud800"}}\n{}\n',
                     (replace(item(Action.INDEX, None, b'{"index":{"_index":"a\\ud800"}}'), index="a\ud800"),),
                     id="half a surrogate pair in an index"),
        pytest.param(b'{"update":{"_id":1.50}/* so */} etc.\n\xef\xbb\xbf{"doc":{}}//\n',
                     (item(Action.UPDATE, "1.50", b'{"update":{"_id":1.50}}', b'{"doc":{}} '),),
                     id="an update is made strict JSON"),
        pytest.param(b'{"index":{}/* so */}\n{"a":"\xed\xa0\xbd"}\n',
                     (item(Action.INDEX, None, b'{"index":{}/* so */}', b'{"a":"\\ud83d"}'),),
                     id="an action line that is not changed stays"),
        pytest.param(b'{"index":{}}\n' + b"[" * 1_001 + b"\n",
                     (replace(item(Action.INDEX, None, b'{"index":{}}', b"[" * 1_001), is_too_deep=True),), id="deep"),
        pytest.param(b'{"index":{}}\n' + b"[" * 1_000 + b"\n",
                     (item(Action.INDEX, None, b'{"index":{}}', b"[" * 1_000),), id="not too deep"),
    ],
)  # fmt: skip
def test_parse_bulk(body: bytes, expected: tuple[BulkItem, ...]) -> None:
    assert items_of(body) == expected


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"index":{}}\n{}', id="no line end at the end"),
        pytest.param(b'{"index":{}}\n\n{}\n', id="blank line where a source is due"),
        pytest.param(b'{"inde":{}}\n{}\n', id="unknown action"),
        pytest.param(b'{"index":1}\n{}\n', id="action is no object"),
        pytest.param(b'{"index":{"_idd":"1"}}\n{}\n', id="unknown parameter"),
        pytest.param(b'{"index":{"_id":[1]}}\n{}\n', id="array as a parameter"),
        pytest.param(b'{"update":{"_id":"1","_source":["a"]}}\n{"doc":{}}\n', id="a list of fields to show"),
        pytest.param(b"nonsense\n", id="no JSON"),
        pytest.param(b'[{"index":{}}]\n{}\n', id="a list"),
        pytest.param(b"\xef\xbb\xbf\n", id="only a BOM"),
    ],
)
def test_what_the_cluster_refuses_is_not_parsed(body: bytes) -> None:
    assert items_of(body) is None


def test_an_item_without_any_index_is_not_parsed() -> None:
    assert items_of(b'{"index":{}}\n{}\n', None) is None


def test_split_keeps_order_and_limit_and_lets_a_large_item_go_alone() -> None:
    items = [item(Action.INDEX, str(n), b"a" * 9, b"b" * (100 if n == 2 else 9)) for n in range(5)]

    sub_bulks, lines = packed(items, 45)

    assert [[one.id for one in part.operations] for part in sub_bulks] == [["0", "1"], ["2"], ["3", "4"]]
    assert [len(lines[part.start : part.end]) for part in sub_bulks] == [40, 111, 40]
    assert sub_bulks[-1].end == len(lines)


def test_split_sends_malformed_documents_apart_from_the_others() -> None:
    items = [item(Action.INDEX, str(n), b"a", b"b") for n in range(5)]
    items[1:3] = [replace(items[1], is_malformed=True), replace(items[2], is_malformed=True)]

    sub_bulks, _ = packed(items, 1_000)
    assert [[one.id for one in part.operations] for part in sub_bulks] == [["0"], ["1"], ["2"], ["3", "4"]]


def test_only_the_first_malformed_documents_are_sent_each_alone() -> None:
    sub_bulks, _ = packed([replace(item(Action.INDEX, "a", b"a", b"b"), is_malformed=True)] * 1_000, 1_000_000)

    assert [len(part.operations) for part in sub_bulks] == [1] * 63 + [937]


def test_parts_of_a_body_are_runs_of_operations_within_a_limit() -> None:
    body = b"".join(b'{"index":{}}\n"%s"\n' % (b"x" * size) for size in (10, 10, 200, 10))
    places = parse_bulk(io.BytesIO(body), "i")
    assert places is not None
    loaded = [[item.source_line for item in load(part, lambda a, b: body[a:b])] for part in parts(places, 60)]
    assert [[len(line or b"") for line in some] for some in loaded] == [[12, 12], [202], [12]]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        pytest.param(b'{"index":{}}\n{"a":"updated"}\n', False, id="none"),
        pytest.param(b'{"index":{}}\n{}\n/**/{ "update" :{}}\n', True, id="as it is"),
        pytest.param(b'{"u\\u0070d\\u0061te":{}}\n', True, id="escaped"),
        pytest.param(b'{"\xc1\xb5pdate":{}}\n', True, id="longer than needed"),
        pytest.param('{"update":{}}'.encode("utf-16-le") + b"\n", True, id="UTF-16"),
    ],
)
def test_an_update_is_noticed_in_what_we_cannot_read(body: bytes, found: bool) -> None:
    assert may_update(io.BytesIO(body)) == found
