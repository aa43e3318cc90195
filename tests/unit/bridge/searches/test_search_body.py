"""Which bodies of searches are read: whatever is not, goes to the cluster as it is."""

import pytest

from sidecar.bridge.searches.search_body import parse_search
from sidecar.jsontext import Json, loads_as_written


def nested(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


@pytest.mark.parametrize(
    ("text", "body"),
    [
        pytest.param(None, None, id="a body that was not read"),
        pytest.param(b"", {}, id="empty"),
        pytest.param(b" \n", {}, id="blank"),
        pytest.param(b'{"size": 1}', {"size": 1}, id="an object"),
        pytest.param(b'{"size": 12345678901234567890123}', {"size": 12345678901234567890123}, id="a long integer"),
        pytest.param(b"[]", None, id="no object"),
        pytest.param(b'{"size": }', None, id="no JSON"),
        pytest.param(nested(201), None, id="too deep to walk"),
    ],
)
def test_parse_search(text: bytes | None, body: Json) -> None:
    assert parse_search(text) == body


def test_what_can_be_walked_is_read() -> None:
    assert parse_search(nested(190)) is not None


def test_numbers_can_be_read_as_they_are_written() -> None:
    assert parse_search(b'{"docs":[{"_id":1.50}]}', loads_as_written) == {"docs": [{"_id": "1.50"}]}
