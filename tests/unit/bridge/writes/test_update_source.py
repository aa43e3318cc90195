"""What an update shows of its document: which `_source` counts, and what is taken out of it."""

import json

import pytest

from sidecar.bridge.writes.update_source import hide_in_item, hide_in_update
from tests.support.bulks import items_of
from tests.support.http import ndjson

OURS = ("v", "v_meta")
ALL_BUT_OURS = {"excludes": ["v", "v_meta"]}


@pytest.mark.parametrize(
    ("url", "of_body", "sent"),
    [
        pytest.param({}, None, None, id="nothing is asked"),
        pytest.param({}, True, ALL_BUT_OURS, id="all"),
        pytest.param({}, False, False, id="nothing"),
        pytest.param({}, "title", {"includes": ["title"], "excludes": ["v", "v_meta"]}, id="a name"),
        pytest.param({}, ["t*", "v"], {"includes": ["t*", "v"], "excludes": ["v_meta"]}, id="one of ours is named"),
        pytest.param({}, {"exclude": "t"}, {"exclude": ["t", "v", "v_meta"]}, id="all but"),
        pytest.param({}, ["v", "v_meta"], ["v", "v_meta"], id="both of ours are named"),
        pytest.param({"_source": "t"}, True, ALL_BUT_OURS, id="the body wins over the URL"),
        pytest.param({"_source": "true"}, None, {"includes": [], "excludes": ["v", "v_meta"]}, id="all, by URL"),
        pytest.param({"_source": ""}, None, {"includes": [], "excludes": ["v", "v_meta"]}, id="all, by URL without a value"),
        pytest.param({"_source": "false", "_source_includes": "t"}, None, None, id="nothing, by URL"),
        pytest.param({"_source": "t,v"}, None, {"includes": ["t", "v"], "excludes": ["v_meta"]}, id="names, by URL"),
        pytest.param({"_source": "t", "_source_includes": "u", "_source_excludes": "x"}, None,
                     {"includes": ["u"], "excludes": ["x", "v", "v_meta"]}, id="all kinds of URL"),
    ],
)  # fmt: skip
def test_a_single_update(url: dict[str, str], of_body: object, sent: object) -> None:
    body = {"doc": {"a": 1}} | ({} if of_body is None else {"_source": of_body})

    changed = json.loads(hide_in_update(json.dumps(body).encode(), url, OURS))

    assert changed == {"doc": {"a": 1}} | ({} if sent is None else {"_source": sent})


@pytest.mark.parametrize(
    ("url", "of_line", "of_body", "sent"),
    [
        pytest.param({}, None, None, None, id="nothing is asked"),
        pytest.param({}, None, True, ALL_BUT_OURS, id="body"),
        pytest.param(
            {"_source": "t"}, None, True, {"includes": ["t"], "excludes": ["v", "v_meta"]}, id="URL over body"
        ),
        pytest.param({"_source": "false"}, None, True, None, id="URL says nothing"),
        pytest.param({"_source": "false"}, True, ["t"], ALL_BUT_OURS, id="action line over both"),
        pytest.param({"_source": "true"}, False, True, False, id="action line says nothing"),
    ],
)
def test_an_item_of_a_bulk(url: dict[str, str], of_line: object, of_body: object, sent: object) -> None:
    action = {"_id": "1"} | ({} if of_line is None else {"_source": of_line})
    body = {"doc": {"a": 1}} | ({} if of_body is None else {"_source": of_body})
    (item,) = items_of(ndjson({"update": action}, body)) or ()

    changed = hide_in_item(item, url, OURS)

    assert json.loads(changed.action_line) == {"update": {"_id": "1"} | ({} if sent is None else {"_source": sent})}
    assert changed.source_line == item.source_line


@pytest.mark.parametrize("action", ["index", "create", "delete"])
def test_other_operations_show_nothing(action: str) -> None:
    (item,) = items_of(ndjson({action: {"_id": "1"}}, *([] if action == "delete" else [{"a": 1}]))) or ()

    assert hide_in_item(item, {"_source": "true"}, OURS) is item
