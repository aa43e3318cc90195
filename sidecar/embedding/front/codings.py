"""The content codings of an HTTP body. Pure."""

import zlib
from typing import Final

from sidecar.errors import BodyTooLarge, InvalidInput

_GZIP: Final = frozenset({"gzip", "x-gzip"})
_ANY_HEADER: Final = zlib.MAX_WBITS | 32  # of gzip or zlib
_NO_HEADER: Final = -zlib.MAX_WBITS
_PIECE_BYTES: Final = 64 * 1024  # after each member, the rest of a piece is copied
_MOST_MEMBERS: Final = 1_000


def coding_of(header: str) -> str:
    """The coding that a Content-Encoding names, or "" for none. Raises InvalidInput if we do not read it."""
    coding = header.strip().lower()
    if coding in {"", "identity"}:
        return ""
    if coding not in {*_GZIP, "deflate"}:
        raise InvalidInput("Content-Encoding", f"must be gzip, deflate or identity, not [{header}]")
    return coding


def decoded(body: bytes, coding: str, *, limit: int, setting: str) -> bytes:
    """A body in gzip or deflate, decoded. Raises BodyTooLarge, and InvalidInput if it does not match its coding."""
    form = _ANY_HEADER if coding in _GZIP or _has_zlib_header(body) else _NO_HEADER
    whole, members, inflate = bytearray(), 1, zlib.decompressobj(form)
    for start in range(0, len(body), _PIECE_BYTES):
        rest = body[start : start + _PIECE_BYTES]
        while rest:
            if inflate.eof:  # gzip may have several members, and zeros after the last
                rest = rest.lstrip(b"\0")
                if not rest:
                    break
                members, inflate = members + 1, zlib.decompressobj(form)
                if members > _MOST_MEMBERS:
                    raise InvalidInput("body", f"must have at most {_MOST_MEMBERS} members of {coding}")
            try:
                whole += inflate.decompress(rest, limit - len(whole) + 1)
            except zlib.error as error:
                raise InvalidInput("body", f"is not valid {coding}") from error
            if len(whole) > limit:
                raise BodyTooLarge(limit, setting)
            rest = inflate.unused_data
    if not inflate.eof:
        raise InvalidInput("body", f"the {coding} stream is cut off")
    return bytes(whole)


def _has_zlib_header(body: bytes) -> bool:
    return len(body) > 1 and body[0] & 0x0F == zlib.DEFLATED and (body[0] << 8 | body[1]) % 31 == 0
