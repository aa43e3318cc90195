"""Readers of a log that do not read: each gives a process a stderr that it cannot write to, or not for long."""

import os
import pty
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

ADDED = 1_000_000  # a pipe holds less


@contextmanager
def gone() -> Iterator[int]:
    """A collector of logs that has died: EPIPE."""
    read, write = os.pipe()
    os.close(read)
    yield from _open(write)


@contextmanager
def unread() -> Iterator[int]:
    """A pipe that is full from the beginning, and that nobody reads."""
    read, write = os.pipe()
    _fill(write)
    yield from _open(write, read)


@contextmanager
def unread_socket() -> Iterator[int]:
    """As a service manager gives it. It cannot be opened a second time."""
    ours, theirs = socket.socketpair()
    _fill(theirs.fileno())
    yield from _open(theirs.detach(), ours.detach())


@contextmanager
def hung_up() -> Iterator[int]:
    """A terminal that was closed: EIO."""
    terminal, write = pty.openpty()
    os.close(terminal)
    yield from _open(write)


@contextmanager
def full_disk() -> Iterator[int]:
    """ENOSPC for each write."""
    yield from _open(os.open("/dev/full", os.O_WRONLY))


READERS: dict[str, Callable] = {one.__name__: one for one in (gone, unread, unread_socket, hung_up, full_disk)}


def _fill(number: int) -> None:
    os.set_blocking(number, False)
    with suppress(BlockingIOError):
        os.write(number, b"\n" * ADDED)
    with suppress(BlockingIOError):
        while True:
            os.write(number, b"\n")
    os.set_blocking(number, True)


def _open(*numbers: int) -> Iterator[int]:
    try:
        yield numbers[0]
    finally:
        for number in numbers:
            os.close(number)
