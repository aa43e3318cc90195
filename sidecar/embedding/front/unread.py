"""Replies over gRPC that their callers do not read. gRPC itself would keep them as long as the connection is open."""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import grpc

from sidecar.telemetry import logger

UNREAD_S: Final = 60.0  # for one reply. A caller of a stream may do other things between two of them

_log = logger("embedding.unread")


class CallerGone(Exception):
    """The caller has not read its reply, and its connection is closed."""


async def write(context: grpc.aio.ServicerContext[Any, Any], reply: bytes, unread_s: float = UNREAD_S) -> None:
    """Write a reply, and wait until its caller takes it. Otherwise the connection is closed.

    Raises CallerGone then, and an error of gRPC if the caller has gone by itself.
    """
    try:
        async with asyncio.timeout(unread_s):
            await context.write(reply)
    except TimeoutError:
        _log.info("a caller does not read its reply", action="unread_reply", bytes=len(reply), peer=context.peer())
        hang_up(context.peer())
        raise CallerGone from None


@contextmanager
def gone_is_cancelled() -> Iterator[None]:
    """Take it for a cancellation if a caller cannot be written to. It has gone, and gRPC would log a traceback."""
    gone = False
    try:
        yield
    except* (CallerGone, grpc.aio.InternalError, grpc.aio.UsageError):
        gone = True  # what is raised here would be wrapped in a group
    if gone:
        raise asyncio.CancelledError


def hang_up(peer: str) -> None:
    """Close the connection of a peer, in gRPC's form of its address. gRPC offers no way to end a call from here.

    It is only shut down: gRPC notices the end as if it came from the peer, and closes the descriptor itself.
    """
    host, _, port = unquote(peer).partition(":")[2].rpartition(":")
    wanted = (_plain(host.strip("[]")), port)
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError), socket.socket(fileno=os.dup(int(descriptor.name))) as one:
            if one.family in {socket.AF_INET, socket.AF_INET6}:
                host, port = one.getpeername()[:2]
                if (_plain(host), str(port)) == wanted:
                    one.shutdown(socket.SHUT_RDWR)


def _plain(host: str) -> str:
    """The IPv4 address of a peer that has come over an IPv6 socket."""
    return host.removeprefix("::ffff:")
