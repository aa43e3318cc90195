"""Answers to sub-bulks become one answer."""

import json

from sidecar.bridge.writes.bulk_answer import BulkAnswer, failed_item, insert_failures, merge_answers
from sidecar.bridge.writes.bulk_body import Action
from tests.unit.bridge.writes.test_bulk_body import item


def test_merged_answers_are_one_compact_answer() -> None:
    first = BulkAnswer.parse(b'{"took":3,"errors":false,"items":[{"index":{"_id":"1","status":201}}]}')
    second = BulkAnswer.parse(
        b'{"took":4,"ingest_took":0,"errors":true,"items":[ {"index":{"_id":"2","status":400}} ]}'
    )

    merged = merge_answers([first, second]).render()

    assert merged == (
        b'{"took":7,"ingest_took":0,"errors":true,"items":[{"index":{"_id":"1","status":201}},'
        b' {"index":{"_id":"2","status":400}} ]}'
    )


def test_merging_keeps_the_bytes_of_items() -> None:
    raw = b'{"index":{"_seq_no":12345678901234567890,"x":1.50}}'

    assert raw in merge_answers([BulkAnswer.parse(b'{"took":1,"errors":false,"items":[' + raw + b"]}")]).render()


def test_a_failure_of_the_bridge_takes_the_place_of_its_item() -> None:
    answer = BulkAnswer.parse(b'{"took":1,"errors":false,"items":[{"index":{"_id":"b"}}]}')
    bad = failed_item(item(Action.CREATE, "a", b""), 429, "rejected_execution_exception", "busy")

    merged = json.loads(insert_failures(answer, {0: bad, 2: bad}).render())

    assert merged["errors"] is True
    assert [list(i) for i in merged["items"]] == [["create"], ["index"], ["create"]]
    assert merged["items"][0]["create"] == {
        "_index": "i",
        "_id": "a",
        "status": 429,
        "error": {"type": "rejected_execution_exception", "reason": "busy"},
    }
