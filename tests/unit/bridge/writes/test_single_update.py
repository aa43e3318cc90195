"""A scripted update of a bulk as a request of its own, and back."""

import json

import pytest

from sidecar.bridge.writes.bulk_action import Action, Operation
from sidecar.bridge.writes.single_update import (
    Upsert,
    as_bulk_item,
    creation,
    piped_upsert,
    single_update,
    without_upsert,
)
from tests.support.bulks import items_of
from tests.support.http import ndjson


@pytest.mark.parametrize(
    ("metadata", "bulk_parameters", "query"),
    [
        pytest.param({}, {}, "", id="nothing"),
        pytest.param({}, {"refresh": "wait_for", "pretty": "", "timeout": "3s"}, "?refresh=wait_for&timeout=3s",
                     id="what concerns the write"),
        pytest.param({"routing": 7}, {"routing": "a"}, "?routing=7", id="the item's own goes first"),
        pytest.param({"if_seq_no": 3, "if_primary_term": 1, "require_alias": True}, {},
                     "?require_alias=true&if_seq_no=3&if_primary_term=1", id="guarded"),
        pytest.param({}, {"_source": "c", "_source_excludes": "d"}, "?_source=c&_source_excludes=d", id="fields to show"),
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
    "wanted",
    [
        pytest.param(False, id="nothing"),
        pytest.param("a", id="one field"),
        pytest.param({"include": ["a"], "excludes": "b"}, id="some but for others"),
    ],
)
def test_what_the_action_line_shows_wins_over_url_and_body(wanted: object) -> None:
    action = json.dumps({"update": {"_id": "1", "_source": wanted}})
    (item,) = items_of(f'{action}\n{{"script":"x", "_source":true}}\n'.encode()) or ()

    target, body = single_update(item, {"_source": "c"})

    assert (target, json.loads(body)) == ("/i/_update/1", {"script": "x", "_source": wanted})


@pytest.mark.parametrize(
    ("action", "body", "url", "upsert"),
    [
        pytest.param({"pipeline": "p"}, {"upsert": {}}, {}, Upsert.PLAIN, id="of the action line"),
        pytest.param({}, {"upsert": {}}, {"pipeline": "p"}, Upsert.PLAIN, id="of the URL"),
        pytest.param({"pipeline": "p"}, {"upsert": {}, "scripted_upsert": True}, {}, Upsert.OF_SCRIPT, id="scripted"),
        pytest.param({"pipeline": "p"}, {"upsert": {}, "scripted_upsert": False}, {}, Upsert.PLAIN, id="not scripted"),
        pytest.param({"pipeline": "p"}, {}, {"pipeline": "p"}, None, id="nothing is created"),
        pytest.param({}, {"upsert": {}}, {}, None, id="no pipeline"),
    ],
)
def test_an_upsert_through_a_pipeline(action: object, body: dict, url: dict[str, str], upsert: Upsert | None) -> None:
    (item,) = items_of(ndjson({"update": {"_id": "1", **action}}, {"script": "x", **body})) or ()

    assert piped_upsert(item, url) is upsert


def test_an_upsert_through_a_pipeline_is_taken_apart() -> None:
    source = {"script": "x", "upsert": {"a": 1}, "detect_noop": False, "_source": True}
    (item,) = items_of(ndjson({"update": {"_id": "1", "pipeline": "p"}}, source)) or ()

    assert json.loads(creation(item).source_line or b"") == {"upsert": {"a": 1}, "_source": True, "doc": {}}
    assert json.loads(without_upsert(item).source_line or b"") == {"script": "x", "detect_noop": False, "_source": True}
    assert creation(item).action_line == without_upsert(item).action_line == item.action_line


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
