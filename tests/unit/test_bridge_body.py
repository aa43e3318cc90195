"""Content codings of request bodies, and the limits that hold while they are decoded."""

import gzip
import zlib

import pytest

from sidecar.bridge.body import BodyTooLarge, decode
from sidecar.errors import InvalidInput


@pytest.mark.parametrize(
    ("sent", "coding", "expected"),
    [
        pytest.param(b"x", "", b"x", id="none"),
        pytest.param(b"x", "identity", b"x", id="identity"),
        pytest.param(gzip.compress(b"x" * 9), "GZIP", b"x" * 9, id="gzip"),
        pytest.param(gzip.compress(b"a") + gzip.compress(b"b"), "gzip", b"ab", id="two gzip members"),
        pytest.param(zlib.compress(b"x"), "deflate", b"x", id="deflate"),
        pytest.param(b"x", "zstd", None, id="a coding that we do not read"),
        pytest.param(b"x", "gzip, gzip", None, id="two codings"),
    ],
)
def test_decode(sent: bytes, coding: str, expected: bytes | None) -> None:
    assert decode(sent, coding, 100) == expected


def test_a_bomb_stops_at_the_limit() -> None:
    with pytest.raises(BodyTooLarge, match="larger than the limit of \\[1000\\] bytes"):
        decode(gzip.compress(b"\n" * 1_000_000), "gzip", 1_000)


def test_a_ratio_that_no_text_has_is_a_bomb_below_the_limit_too() -> None:
    with pytest.raises(BodyTooLarge):
        decode(gzip.compress(b"\n" * 50_000_000), "gzip", 100_000_000)


@pytest.mark.parametrize(
    "sent", [pytest.param(b"x", id="not gzip"), pytest.param(gzip.compress(b"xyz")[:-9], id="cut off")]
)
def test_bytes_that_are_not_in_their_coding_are_refused(sent: bytes) -> None:
    with pytest.raises(InvalidInput, match="request body"):
        decode(sent, "gzip", 100)
