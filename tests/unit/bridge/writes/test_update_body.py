"""The body of an update as the cluster's own parser reads it."""

import pytest

from sidecar.bridge.writes.update_body import Position, UpdateBody, parse_update
from sidecar.jsontext import Json, dumps

DOC: dict[str, Json] = {"title": "a"}
PARTIAL = UpdateBody(DOC, None, is_doc_as_upsert=False, is_scripted=False, guard=None, retries=0)


@pytest.mark.parametrize(
    ("body", "parameters", "update"),
    [
        pytest.param({"doc": DOC}, {}, PARTIAL, id="doc"),
        pytest.param({"doc": DOC, "upsert": {"n": 1}}, {}, UpdateBody(DOC, {"n": 1}, False, False, None, 0), id="upsert"),
        pytest.param({"doc": DOC, "doc_as_upsert": True}, {}, UpdateBody(DOC, DOC, True, False, None, 0), id="doc as upsert"),
        pytest.param({"doc": DOC, "doc_as_upsert": "true"}, {}, UpdateBody(DOC, DOC, True, False, None, 0), id="a flag in text"),
        pytest.param({"script": "s"}, {}, UpdateBody(None, None, False, True, None, 0), id="script"),
        pytest.param({"doc": DOC}, {"if_seq_no": "3", "if_primary_term": 1},
                     UpdateBody(DOC, None, False, False, Position(3, 1), 0), id="a guard"),
        pytest.param({"doc": DOC}, {"retry_on_conflict": 2}, UpdateBody(DOC, None, False, False, None, 2), id="retries"),
        pytest.param({}, {}, None, id="neither doc nor script"),
        pytest.param({"doc": DOC, "script": "s"}, {}, None, id="both"),
        pytest.param({"doc": []}, {}, None, id="doc is no object"),
        pytest.param({"doc": DOC, "other": 1}, {}, None, id="an unknown key"),
        pytest.param({"doc": DOC, "doc_as_upsert": 1}, {}, None, id="a flag that is none"),
        pytest.param({"doc": DOC, "upsert": {}}, {"if_seq_no": 3}, None, id="a guard with an upsert"),
        pytest.param({"doc": DOC}, {"if_seq_no": 3, "retry_on_conflict": 1}, None, id="a guard with retries"),
        pytest.param([], {}, None, id="no object"),
    ],
)  # fmt: skip
def test_parse_update(body: Json, parameters: dict[str, Json], update: UpdateBody | None) -> None:
    assert parse_update(dumps(body), parameters) == update


@pytest.mark.parametrize("source", [b'{"doc":' + b'{"a":' * 1_100 + b"1" + b"}" * 1_101, b'{"doc":{}} {}', b"\xff"])
def test_what_we_cannot_read_is_no_update(source: bytes) -> None:
    assert parse_update(source, {}) is None
