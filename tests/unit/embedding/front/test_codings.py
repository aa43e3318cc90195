"""Bodies in gzip and deflate, and those that only say so."""

import gzip
import zlib

import pytest

from sidecar.embedding.front.codings import coding_of, decoded
from sidecar.errors import BodyTooLarge, InvalidInput

TEXT = b"some words " * 20_000
RAW = zlib.compress(TEXT)[2:-4]


@pytest.mark.parametrize(
    ("header", "coding"),
    [("", ""), ("identity", ""), (" GZIP ", "gzip"), ("x-gzip", "x-gzip"), ("deflate", "deflate")],
)
def test_codings_that_are_read(header: str, coding: str) -> None:
    assert coding_of(header) == coding


@pytest.mark.parametrize("header", ["br", "zstd", "unheard-of", "gzip, gzip", "compress"])
def test_other_codings_are_refused(header: str) -> None:
    with pytest.raises(InvalidInput, match="Content-Encoding: must be gzip, deflate or identity"):
        coding_of(header)


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        pytest.param(gzip.compress(TEXT), "gzip", id="gzip"),
        pytest.param(gzip.compress(TEXT[:70_000]) + gzip.compress(TEXT[70_000:]), "gzip", id="two members"),
        pytest.param(gzip.compress(TEXT) + bytes(70_000), "x-gzip", id="zeros behind it"),
        pytest.param(zlib.compress(TEXT), "deflate", id="deflate"),
        pytest.param(RAW, "deflate", id="deflate without a header"),
        pytest.param(gzip.compress(TEXT, 0), "gzip", id="stored"),
    ],
)
def test_a_body_is_decoded(body: bytes, coding: str) -> None:
    assert decoded(body, coding, limit=len(TEXT), setting="s") == TEXT


@pytest.mark.parametrize(
    ("body", "coding", "message"),
    [
        pytest.param(b"{}", "gzip", "body: is not valid gzip", id="plain"),
        pytest.param(b'{"input": "text"}', "deflate", "body: is not valid deflate", id="plain, as deflate"),
        pytest.param(gzip.compress(TEXT)[:-9], "gzip", "body: the gzip stream is cut off", id="cut off"),
        pytest.param(b"", "gzip", "body: the gzip stream is cut off", id="empty"),
        pytest.param(gzip.compress(TEXT) + b"more", "gzip", "body: is not valid gzip", id="bytes behind it"),
        pytest.param(gzip.compress(b"") * 1_001, "gzip", "body: must have at most 1000 members of gzip", id="members"),
    ],
)
def test_a_body_that_does_not_match_is_refused(body: bytes, coding: str, message: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        decoded(body, coding, limit=10**6, setting="s")
    assert str(refusal.value) == message


def test_a_body_that_grows_too_large_is_refused() -> None:
    with pytest.raises(BodyTooLarge):
        decoded(gzip.compress(bytes(10**7)), "gzip", limit=10**6, setting="s")
