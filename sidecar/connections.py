"""A connection of a client to one of our HTTP servers: its deadlines, and answers that show nothing about the server.

Nobody may hold a connection without using it. A client that stops in a head or a body, or does not read its answer,
loses its connection after some seconds. A slow client that goes on loses nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import hdrs, web
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestHandler, _ErrInfo

from sidecar.errors import ErrorKind, SidecarError
from sidecar.telemetry import logger

SILENCE_S: Final = 10.0  # for a client that has begun to send a head or a body
IDLE_S: Final = 75.0  # for a connection between two requests, and for a whole head
_UNREAD_S: Final = 15.0  # a client that has read nothing of its answer for twice this time is gone

_log = logger("http")

# Makes the answer to a request that no handler sees, from its status and a sentence, in the shape of the server.
Refuse = Callable[[int, str], web.Response]


@dataclass(eq=False)
class SlowBody(SidecarError):
    """The client has stopped in the middle of its body. The answer is a 408."""

    silence_s: float
    kind = ErrorKind.BAD_INPUT

    def __str__(self) -> str:
        return f"no byte of the request body came for {self.silence_s:g} s"


async def arriving(content: StreamReader) -> AsyncIterator[bytes]:
    """The pieces of a body. Raises SlowBody if none comes for some time while the server wants one."""
    while True:
        try:
            async with asyncio.timeout(SILENCE_S):
                piece = await content.readany()
        except TimeoutError as error:
            raise SlowBody(SILENCE_S) from error
        if not piece:
            return
        yield piece


class Unbranded(web.StreamResponse):
    """An answer without the headers that aiohttp adds by itself: its name and version, a date, a content type."""

    async def _prepare_headers(self) -> None:
        given = {name.lower() for name in self.headers}
        await super()._prepare_headers()
        for name in (hdrs.CONTENT_TYPE, hdrs.SERVER, hdrs.DATE):
            if name.lower() not in given:
                self.headers.popall(name, None)


class Answer(Unbranded, web.Response):
    """A whole answer of ours."""


class Connection(RequestHandler):
    """aiohttp's side of a connection, with deadlines and with our own answers to bad requests.

    The answers never repeat bytes of a bad request. The log gets one line for each.
    """

    def __init__(
        self, server: web.Server, *, refuse: Refuse, surplus: tuple[int, str] | None, closed: Callable[[], None]
    ) -> None:
        """`surplus` is the refusal of each request if there are too many connections. `closed` is called at the end."""
        options: dict[str, Any] = {"keepalive_timeout": IDLE_S, **server._kwargs}  # noqa: SLF001 - as Server itself does
        super().__init__(server, loop=asyncio.get_running_loop(), **options)
        self._refuse = refuse
        self._closed = closed
        self._deadline: asyncio.TimerHandle | None = None  # of the head that has begun
        self._reading: asyncio.TimerHandle | None = None  # looks whether the client reads its answer
        self._unread: int | None = None
        if surplus is not None:
            self._keepalive_timeout = SILENCE_S
            self._request_handler = self._refusing(*surplus)

    def _refusing(self, status: int, reason: str) -> Callable[[web.BaseRequest], Any]:
        async def refuse(_: web.BaseRequest) -> web.StreamResponse:
            return self._closing(status, reason)

        return refuse

    def _closing(self, status: int, reason: str) -> web.Response:
        answer = self._refuse(status, reason)
        answer.force_close()
        return answer

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if data and self._waits_for_head():  # these bytes are a part of a head
            self._deadline = self._loop.call_later(SILENCE_S, self._head_is_late)

    def _waits_for_head(self) -> bool:
        return self._waiter is not None and not self._waiter.done()

    def _head_is_late(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            late = _ErrInfo(status=408, exc=TimeoutError(), message="")
            self._messages.append((late, EMPTY_PAYLOAD))
            self._waiter.set_result(None)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = None
        self._reading = self._loop.call_later(_UNREAD_S, self._look_whether_client_reads)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_looking()

    def _stop_looking(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _look_whether_client_reads(self) -> None:
        if self.transport is None:
            return
        unread = self.transport.get_write_buffer_size()
        if self._unread is not None and unread >= self._unread:
            _log.info("a client does not read its answer", action="unread_answer", bytes=unread)
            self.transport.abort()
            return
        self._unread = unread
        self._reading = self._loop.call_later(_UNREAD_S, self._look_whether_client_reads)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._stop_looking()
        self._closed()
        super().connection_lost(exc)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        if isinstance(resp, web.HTTPException):  # a page of aiohttp's own
            resp = self._refuse(resp.status, f"{resp.reason}: {request.method} {request.path}")
        if resp.status == 408:
            self._lingering_time = 0.0  # the rest of the body has been waited for
        return await super().finish_response(request, resp, start_time)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already") from exc
        if status >= 500:
            _log.error("a request failed", action="request_failed", exc_info=exc)
            return self._closing(status, "internal error")
        _log.info("a request is not valid HTTP", action="bad_request", status=status, error=type(exc).__name__)
        if status == 408:
            return self._closing(status, f"no byte of the request came for {SILENCE_S:g} s")
        return self._closing(status, "malformed HTTP request")

    def log_exception(self, *args: Any, **named: Any) -> None:
        _log.error(
            "a connection failed", action="connection_failed", problem=str(args[:1]), exc_info=named.get("exc_info")
        )
