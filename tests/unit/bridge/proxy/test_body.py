"""Content codings of request bodies, and the limits that hold while they are decoded."""

import gzip
import zlib

import pytest

from sidecar.bridge.proxy.body import inflated
from sidecar.bridge.proxy.spool import Spool
from sidecar.errors import BodyTooLarge, InvalidInput


def raw_deflate(text: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(text) + packer.flush()


@pytest.mark.parametrize(
    ("sent", "coding", "expected"),
    [
        pytest.param(gzip.compress(b"x" * 9), "gzip", b"x" * 9, id="gzip"),
        pytest.param(gzip.compress(b"a") + gzip.compress(b"b"), "gzip", b"ab", id="two gzip members"),
        pytest.param(zlib.compress(b"x"), "deflate", b"x", id="deflate"),
        pytest.param(raw_deflate(b"xyz"), "deflate", b"xyz", id="deflate without the head of zlib"),
        pytest.param(raw_deflate(b"xyz"), "x-deflate", b"xyz", id="its other name"),
        pytest.param(b"\xf9\x17\0\xe8\xff" + b"x" * 23, "deflate", b"x" * 23, id="what zlib would be without a sign"),
        pytest.param(zlib.compress(b"x") + b"anything", "deflate", b"x", id="what follows deflate"),
        pytest.param(raw_deflate(b"x") + b"anything", "deflate", b"x", id="what follows deflate without a head"),
        pytest.param(zlib.compress(b"xyz")[:-2], "deflate", b"xyz", id="deflate without its end"),
        pytest.param(gzip.compress(b"x") + b"\0" * 9, "gzip", b"x", id="padding after gzip"),
        pytest.param(gzip.compress(b"xyz")[:-4], "gzip", b"xyz", id="gzip without its end"),
        pytest.param(b"", "gzip", b"", id="nothing"),
    ],
)
@pytest.mark.parametrize("piece_bytes", [1, 7, 1_000])
def test_inflated(piece_bytes: int, sent: bytes, coding: str, expected: bytes) -> None:
    pieces = (sent[start : start + piece_bytes] for start in range(0, len(sent), piece_bytes))
    assert b"".join(inflated(pieces, coding, 100)) == expected


def test_a_bomb_stops_at_the_limit() -> None:
    with pytest.raises(BodyTooLarge, match="larger than the limit of \\[1000\\] bytes"):
        list(inflated([gzip.compress(b"\n" * 1_000_000)], "gzip", 1_000))


def test_a_ratio_that_no_text_has_is_a_bomb_below_the_limit_too() -> None:
    with pytest.raises(BodyTooLarge):
        list(inflated([gzip.compress(b"\n" * 50_000_000)], "gzip", 100_000_000))


@pytest.mark.parametrize(
    ("sent", "coding"),
    [
        pytest.param(b"plain", "gzip", id="not gzip"),
        pytest.param(zlib.compress(b"x"), "gzip", id="deflate as gzip"),
        pytest.param(raw_deflate(b"x"), "gzip", id="raw deflate as gzip"),
        pytest.param(gzip.compress(b"x"), "deflate", id="gzip as deflate"),
        pytest.param(gzip.compress(b"x") + b"\0" * 10, "gzip", id="much padding after gzip"),
        pytest.param(gzip.compress(b"x")[:-8] + b"\1" * 8, "gzip", id="wrong checksum of gzip"),
        pytest.param(zlib.compress(b"x")[:-4] + b"\1" * 4, "deflate", id="wrong checksum of deflate"),
    ],
)
def test_bytes_that_are_not_in_their_coding_are_refused(sent: bytes, coding: str) -> None:
    with pytest.raises(InvalidInput, match=f"request body: is not valid {coding}"):
        list(inflated([sent], coding, 100))


def test_members_without_bytes_are_work_that_has_a_limit() -> None:
    with pytest.raises(BodyTooLarge):
        list(inflated([gzip.compress(b"") * 200_000], "gzip", 100_000_000))


def test_many_members_are_one_body() -> None:
    assert b"".join(inflated([gzip.compress(b"a" * 100) * 50_000], "gzip", 100_000_000)) == b"a" * 5_000_000


@pytest.mark.parametrize("count", [pytest.param(3, id="in memory"), pytest.param(3_000, id="in a file")])
def test_a_spool_gives_back_what_was_written(count: int) -> None:
    written = [b"%d " % number * 100 + b"\n" for number in range(count)]
    with Spool() as spool:
        for piece in written:
            spool.write(piece)
        whole = b"".join(written)
        assert (spool.size, spool.read(), spool.read(5, 17)) == (len(whole), whole, whole[5:17])
        assert b"".join(spool.pieces()) == whole
        assert list(spool.lines()) == written
        payload = spool.payload()
        assert (payload if isinstance(payload, bytes) else payload.read()) == whole
