"""Answers to bulk requests: those of sub-bulks become one answer, and items keep their bytes."""

import json

import pytest

from sidecar.bridge.writes.bulk_action import Action, Operation
from sidecar.bridge.writes.bulk_answer import (
    BulkAnswer,
    answer_of_part,
    failed_item,
    insert_failures,
    is_noop,
    item_outcome,
    merge_answers,
)


def test_merged_answers_are_one_compact_answer() -> None:
    first = BulkAnswer.parse(b'{"took":3,"errors":false,"items":[{"index":{"_id":"1","status":201}}]}')
    second = BulkAnswer.parse(
        b'{"took":4,"ingest_took":0,"errors":true,"items":[ {"index":{"_id":"2","status":400}} ]}'
    )

    merged = merge_answers([first, second]).render()

    assert merged == (
        b'{"took":7,"ingest_took":0,"errors":true,"items":[{"index":{"_id":"1","status":201}},'
        b'{"index":{"_id":"2","status":400}}]}'
    )


def test_merging_keeps_the_bytes_of_items() -> None:
    raw = b'{"index":{"_seq_no":12345678901234567890,"x":1.50}}'

    assert raw in merge_answers([BulkAnswer.parse(b'{"took":1,"errors":false,"items":[' + raw + b"]}")]).render()


def test_a_failure_of_the_bridge_takes_the_place_of_its_item() -> None:
    answer = BulkAnswer.parse(b'{"took":1,"errors":false,"items":[{"index":{"_id":"b"}}]}')
    bad = failed_item(Operation(Action.CREATE, "i", "a"), 429, "rejected_execution_exception", "busy")

    merged = json.loads(insert_failures(answer, {0: bad, 2: bad}).render())

    assert merged["errors"] is True
    assert [list(i) for i in merged["items"]] == [["create"], ["index"], ["create"]]
    assert merged["items"][0]["create"] == {
        "_index": "i",
        "_id": "a",
        "status": 429,
        "error": {"type": "rejected_execution_exception", "reason": "busy"},
    }


@pytest.mark.parametrize(
    ("item", "outcome", "noop"),
    [
        pytest.param(b'{"index":{"_id":"1","status":201}}', (201, False), False, id="created"),
        pytest.param(b'{"update":{"result":"noop","status":200}}', (200, False), True, id="noop"),
        pytest.param(b'{"update":{"status":409,"error":{"type":"x"}}}', (409, True), False, id="conflict"),
        pytest.param(b'{"index":{"_id":"\\ud800","status":201}}', (201, False), False, id="a lone surrogate"),
    ],
)
def test_the_outcome_of_an_item(item: bytes, outcome: tuple[int, bool], noop: bool) -> None:
    assert (item_outcome(item), is_noop(item)) == (outcome, noop)


def test_an_answer_with_a_lone_surrogate_is_read_too() -> None:
    item = b'{"index":{"_id":"\\ud800","status":201}}'

    assert BulkAnswer.parse(b'{"took":1,"errors":false,"items":[' + item + b"]}").items == (item,)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"took":1}', b'{"took":"x","errors":false,"items":[]}'])
def test_another_answer_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of any parser
        BulkAnswer.parse(body)


def test_a_part_that_was_refused_whole_is_an_error_of_each_item() -> None:
    operations = (Operation(Action.INDEX, "i", "1"), Operation(Action.INDEX, "i", "2"))

    answer = answer_of_part(operations, 429, b'{"error":{"type":"t","reason":"r"},"status":429}')

    assert [item_outcome(item) for item in answer.items] == [(429, True), (429, True)]
