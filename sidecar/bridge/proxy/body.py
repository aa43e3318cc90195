"""Reads the body of a write or a search whole, decoded and within limits."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from sidecar.bridge.proxy.budget import PARSED_TIMES, Budget, Share
from sidecar.bridge.proxy.incoming import IncomingRequest
from sidecar.bridge.proxy.nesting import NestedTooDeeply, is_too_deep
from sidecar.bridge.proxy.presentation import is_binary
from sidecar.bridge.proxy.spool import Spool
from sidecar.errors import BodyTooLarge, InvalidInput
from sidecar.threads import WEIGHT_OF_JSON, off_the_loop

_LIMIT_SETTING: Final = "bridge.max_body_bytes"
_GZIP: Final = zlib.MAX_WBITS | 16
_RAW: Final = -zlib.MAX_WBITS
_GZIP_HEAD_BYTES: Final = 10
_MAX_RATIO: Final = 200  # of decoded to sent bytes. More is a zip bomb, not a document
_RATIO_FLOOR: Final = 10 * 1024 * 1024  # the first megabytes may have any ratio
_PIECE_BYTES: Final = 256 * 1024
_SLICE_BYTES: Final = 16 * 1024  # of what is sent: each member of gzip copies the rest of its slice
_MEMBER_BYTES: Final = 1_024  # that a member of gzip counts at least, because an empty one is work, too

# The cluster's own rules: it reads a body of a coding that it does not know as it is.
_DEFLATED: Final = frozenset({"gzip", "x-gzip", "deflate", "x-deflate"})
_UNREAD: Final = frozenset({"br", "snappy", "zstd"})


@dataclass(frozen=True, slots=True)
class Body:
    """A request body, encoded and decoded. Both are deleted when the request has been answered."""

    sent: Spool
    text: Spool | None  # None: we do not read its content coding
    share: Share  # of the bytes that all requests in work may hold

    @property
    def decoded(self) -> bytes | None:
        """The whole text. Only for kinds of bodies that are small. None: we do not read its content coding."""
        return None if self.text is None else self.text.read()


class BodyReader:
    """Reads bodies within two limits: one for each body, and one for all bodies in work together."""

    def __init__(self, max_body_bytes: int, max_inflight_bytes: int) -> None:
        self._max_body = max_body_bytes
        self._budget = Budget(max_inflight_bytes)

    @asynccontextmanager
    async def read(self, request: IncomingRequest, *, parsed_up_to: int = 0) -> AsyncIterator[Body]:
        """Read the body of a request. Its decoded bytes count as in work until the context ends.

        A body of at most `parsed_up_to` bytes counts several times, because it is parsed whole. Raises BodyTooLarge,
        BridgeOverloaded, TooManyRequests, SlowBody, SpoolFull, and InvalidInput if the body does not match its coding.
        """

        def hold(size: int) -> None:
            share.hold(size * PARSED_TIMES if size <= parsed_up_to else max(size, sent.size))

        with Spool() as sent, Spool() as text, self._budget.share() as share:
            if (request.raw.content_length or 0) > self._max_body:
                raise BodyTooLarge(self._max_body, _LIMIT_SETTING)
            async for piece in request.pieces():
                request.hold(len(piece))
                if sent.size + len(piece) > self._max_body:
                    raise BodyTooLarge(self._max_body, _LIMIT_SETTING)
                hold(sent.size + len(piece))
                sent.write(piece)
            coding = request.header("Content-Encoding").strip().lower()
            if coding in _DEFLATED:
                await asyncio.to_thread(_decode_into, text, sent, coding, self._max_body, hold)
                yield Body(sent, text, share)
            else:
                yield Body(sent, None if coding in _UNREAD else sent, share)


async def refuse_deep_nesting(request: IncomingRequest, body: Body, around: tuple[str, str] | None = None) -> None:
    """Raise NestedTooDeeply for JSON that OpenSearch 3 would refuse. Bodies that we do not read are not looked at.

    `around` has the type and the reason of the error that OpenSearch 3 puts around its refusal.
    """
    text = body.text
    if text is None or is_binary({}, request.header("Content-Type")):
        return
    if await off_the_loop(WEIGHT_OF_JSON * text.size, _is_too_deep, text):
        raise NestedTooDeeply(around)


def _is_too_deep(text: Spool) -> bool:
    return is_too_deep(text.read())


def _decode_into(text: Spool, sent: Spool, coding: str, limit: int, hold: Callable[[int], None]) -> None:
    for piece in inflated(sent.pieces(), coding, limit):
        hold(text.size + len(piece))
        text.write(piece)


def inflated(pieces: Iterable[bytes], coding: str, limit: int) -> Iterator[bytes]:
    """Decode gzip or deflate, in pieces of bounded size.

    The forms are those that the cluster takes. Gzip may have several members, and a few bytes may follow the last.
    Deflate comes with or without the head of zlib, and anything may follow it. The end may be missing.
    Raises BodyTooLarge, and InvalidInput for bytes that do not match the coding.
    """
    is_gzip = coding.endswith("gzip")
    inflate = zlib.decompressobj(_GZIP) if is_gzip else None
    came = gave = members = 0
    head = b""  # of the stream, or what follows the last member
    for piece in (part[at : at + _SLICE_BYTES] for part in pieces for at in range(0, len(part), _SLICE_BYTES)):
        came += len(piece)
        rest = head + piece
        head = b""
        if inflate is None:
            if len(rest) < 2:
                head = rest
                continue
            inflate = zlib.decompressobj(zlib.MAX_WBITS if _has_head_of_zlib(rest) else _RAW)
        while rest:
            if inflate.eof:
                if not is_gzip:
                    return
                if len(rest) < _GZIP_HEAD_BYTES:
                    head = rest
                    break
                inflate = zlib.decompressobj(_GZIP)
            try:
                found = inflate.decompress(rest, _PIECE_BYTES)
            except zlib.error as error:
                raise InvalidInput("request body", f"is not valid {coding}") from error
            gave += len(found)
            members += inflate.eof
            is_bomb = gave > min(limit, max(_RATIO_FLOOR, _MAX_RATIO * came))
            if is_bomb or members * _MEMBER_BYTES > max(limit, _RATIO_FLOOR):
                raise BodyTooLarge(limit, _LIMIT_SETTING)
            yield found
            rest = inflate.unused_data if inflate.eof else inflate.unconsumed_tail


def _has_head_of_zlib(start: bytes) -> bool:
    """Whether a stream begins as zlib does (RFC 1950). The cluster looks at the same bits, as a number with a sign."""
    first = int.from_bytes(start[:2], signed=True)
    return first & 0x7800 == 0x7800 and first % 31 == 0
