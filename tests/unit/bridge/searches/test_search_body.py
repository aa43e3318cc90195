"""Which bodies of searches are read: whatever is not, goes to the cluster as it is."""

import pytest

from sidecar.bridge.searches.search_body import parse_search, plain_json
from sidecar.jsontext import Json


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


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        pytest.param(b"", b"", id="nothing"),
        pytest.param(b'{"a":"//"}', b'{"a":"//"}', id="no comment"),
        pytest.param(b'/* a */{"a":1 // "b"\n}', b' {"a":1  \n}', id="comments"),
        pytest.param(b'{"a":"\\"/*","b":"*/"}', b'{"a":"\\"/*","b":"*/"}', id="signs of a comment within texts"),
        pytest.param(b'{"a":1} /* x', b'{"a":1} /* x', id="a comment without an end"),
        pytest.param('{"é":1}'.encode("utf-16"), '{"é":1}'.encode(), id="UTF-16"),
        pytest.param("{}".encode("utf-16-le"), b"{}", id="UTF-16, little end first"),
        pytest.param("{}".encode("utf-16-be"), b"{}", id="UTF-16, big end first"),
        pytest.param("{}".encode("utf-32"), b"{}", id="UTF-32"),
        pytest.param("{}".encode("utf-32-le"), b"{}", id="UTF-32, little end first"),
        pytest.param("{}".encode("utf-32-be"), b"{}", id="UTF-32, big end first"),
        pytest.param(b"{\0}", b"{\0}", id="cut UTF-16"),
    ],
)
def test_plain_json(text: bytes, plain: bytes) -> None:
    assert plain_json(text) == plain
