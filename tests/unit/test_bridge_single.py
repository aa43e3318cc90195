"""A scripted update of a bulk as a request of its own, and back."""

import json

import pytest

from sidecar.bridge.writes.bulk import Action, Operation
from sidecar.bridge.writes.single import as_bulk_item, single_update
from tests.support.bulks import items_of


@pytest.mark.parametrize(
    ("metadata", "bulk_parameters", "query"),
    [
        pytest.param({}, {}, "", id="nothing"),
        pytest.param({}, {"refresh": "wait_for", "pretty": "", "timeout": "3s"}, "?refresh=wait_for&timeout=3s",
                     id="what concerns the write"),
        pytest.param({"routing": 7}, {"routing": "a"}, "?routing=7", id="the item's own goes first"),
        pytest.param({"if_seq_no": 3, "if_primary_term": 1, "require_alias": True}, {},
                     "?require_alias=true&if_seq_no=3&if_primary_term=1", id="guarded"),
        pytest.param({"_source": ["a", "b"]}, {"_source": "c"}, "?_source=a%2Cb", id="fields to show"),
        pytest.param({"_source": {"includes": ["a"], "excludes": "b"}}, {}, "?_source_includes=a&_source_excludes=b",
                     id="fields to show and not to show"),
        pytest.param({"_source": False}, {}, "?_source=false", id="nothing to show"),
        pytest.param({"pipeline": "p"}, {"pipeline": "q"}, "", id="a single update takes no pipeline"),
    ],
)  # fmt: skip
def test_the_single_update(metadata: dict[str, object], bulk_parameters: dict[str, str], query: str) -> None:
    action = json.dumps({"update": {"_id": "a/b", **metadata}})
    (item,) = items_of(f'{action}\n{{"script":"x", "_source":true}}\n'.encode(), "<i-{now}>") or ()

    target, body = single_update(item, bulk_parameters)

    assert target == f"/%3Ci-%7Bnow%7D%3E/_update/a%2Fb{query}"
    assert json.loads(body) == {"script": "x"} | ({} if "_source" in query else {"_source": True})


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        pytest.param(200, b'{"_index":"i","_id":"1","result":"noop"}\n',
                     {"_index": "i", "_id": "1", "result": "noop", "status": 200}, id="done"),
        pytest.param(409, b'{"error":{"root_cause":[{"type":"t"}],"type":"t","reason":"r","index":"i-1"},"status":409}',
                     {"_index": "i-1", "_id": "1", "status": 409, "error": {"type": "t", "reason": "r", "index": "i-1"}},
                     id="refused"),
        pytest.param(502, b"<html>", {"_index": "i", "_id": "1", "status": 502, "error": {
            "type": "exception", "reason": "the cluster refused this update"}}, id="not JSON"),
    ],
)  # fmt: skip
def test_the_answer_as_that_of_a_bulk_item(status: int, body: bytes, expected: object) -> None:
    assert json.loads(as_bulk_item(Operation(Action.UPDATE, "i", "1"), status, body)) == {"update": expected}
