import pytest

from sidecar.embedding.request_ids import from_headers, shortened


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([], id="none"),
        pytest.param([("x-request-id", "")], id="empty"),
        pytest.param([("x-request-id", "two words")], id="a space"),
        pytest.param([("x-request-id", "line\r\nbreak")], id="a line break"),
        pytest.param([("x-request-id", "a" * 129)], id="too long"),
        pytest.param([("x-request-id", b"bytes")], id="bytes"),
    ],
)
def test_an_id_is_made_where_none_can_be_used(headers: list[tuple[str, str | bytes]]) -> None:
    assert len({from_headers(headers), from_headers(headers)}) == 2
    assert len(from_headers(headers)) == 32


def test_the_callers_own_id_is_kept() -> None:
    assert from_headers([("Accept", "*/*"), ("X-Request-ID", "a-1")]) == "a-1"
    assert from_headers([("x-request-id", "b" * 128)]) == "b" * 128


def test_a_long_id_is_shortened_where_room_is_limited() -> None:
    assert (shortened("a"), shortened("a" * 200)) == ("a", "a" * 128)
