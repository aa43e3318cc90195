"""The standard streams of our processes. A reader who does not read, or has gone, changes nothing else.

`guard_streams` is the first thing that each process of ours does. From then on no write to stderr waits or raises: what
cannot be written at once is kept, up to a limit, for a thread that waits, and the rest is lost and counted.
"""

import atexit
import io
import os
import select
import stat
import sys
from collections.abc import Callable
from threading import Condition, Thread
from typing import Final

import orjson
import structlog

_MOST_WAITING_BYTES: Final = 1024 * 1024  # then lines are lost
_PATIENCE_AT_END_S: Final = 2.0  # for a reader who is slow, when the process ends

_STDIN, _STDOUT, _STDERR = range(3)
_STAMPED: Final = structlog.processors.TimeStamper(fmt="iso", utc=True)


def guard_streams() -> None:
    """Make stderr a stream that never waits or raises, and open what was closed.

    A file descriptor that is closed would be given to the next socket, and lines of the log would go to a client.
    """
    for number, mode in ((_STDIN, "r"), (_STDOUT, "w"), (_STDERR, "w")):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, number)
            if nowhere != number:
                os.close(nowhere)
            name = ("stdin", "stdout", "stderr")[number]
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    log = LossyWriter(_STDERR, at_once=_never_waits(_STDERR), lost_line=_lost_line)
    atexit.register(log.finish, _PATIENCE_AT_END_S)
    sys.stderr = io.TextIOWrapper(log, sys.stderr.encoding, "backslashreplace", line_buffering=True)


def say(line: str) -> None:
    """Print a line on stdout for whoever waits for it. If nobody does, this changes nothing else."""
    says = LossyWriter(_STDOUT, at_once=_never_waits(_STDOUT), lost_line=lambda _: b"")
    says.write(f"{line}\n".encode())


def forget_stdout() -> None:
    """Write what is still kept for stdout nowhere. Its reader has gone, and Python would complain at the end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, _STDOUT)
    os.close(nowhere)


class LossyWriter(io.RawIOBase):
    """Writes to a file descriptor without ever waiting or raising."""

    def __init__(self, number: int, *, at_once: bool, lost_line: Callable[[int], bytes]) -> None:
        super().__init__()
        self._number = number
        self._at_once = at_once  # whether a write to the descriptor never waits, so that no thread is needed for it
        self._lost_line = lost_line  # tells how many lines were lost
        self._changed = Condition()
        self._waiting = bytearray()
        self._writing = False  # the thread has taken what waited
        self._lost = 0
        self._thread: Thread | None = None

    def writable(self) -> bool:
        """Whether it can be written to: always."""
        return True

    def fileno(self) -> int:
        """The file descriptor, for children."""
        return self._number

    def isatty(self) -> bool:
        """Whether somebody looks at a terminal."""
        return os.isatty(self._number)

    def write(self, data: "bytes | bytearray | memoryview", /) -> int:  # type: ignore[override]
        """Write, keep or lose the bytes. The value is their number in any case."""
        rest = bytes(data)
        with self._changed:
            if self._at_once and not self._waiting and not self._writing:
                rest = self._write_now(rest)
            if len(self._waiting) + len(rest) > _MOST_WAITING_BYTES:
                self._lost += rest.count(b"\n")
            elif rest:
                self._waiting += rest
                self._start()
                self._changed.notify_all()
        return len(data)

    def finish(self, patience_s: float) -> None:
        """Wait until all is written, but no longer than this."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting and not self._writing, patience_s)

    def _write_now(self, data: bytes) -> bytes:
        """Write as much as fits. The value is what does not. It raises nothing: a fault counts as loss."""
        if self._lost:
            data = self._lost_line(self._lost) + data
        try:
            done = os.write(self._number, data)
        except BlockingIOError:
            done = 0
        except OSError:
            self._lost += data.count(b"\n") - (self._lost > 0)  # the line about lines is none that was lost
            return b""
        self._lost = 0
        return data[done:]

    def _start(self) -> None:
        if self._thread is None:
            self._thread = Thread(target=self._run, name=f"writes to {self._number}", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting)
                data, self._waiting, self._writing = bytes(self._waiting), bytearray(), True
            unwritten = self._write_all(data)
            with self._changed:
                lost, self._lost = self._lost + unwritten, 0
            if lost and (unwritten or self._write_all(self._lost_line(lost))):
                with self._changed:
                    self._lost += lost

    def _write_all(self, data: bytes) -> int:
        """Write the bytes and wait as long as it takes. The value is the number of lines that could not be written."""
        while data:
            try:
                data = data[os.write(self._number, data) :]
            except BlockingIOError:
                select.select((), (self._number,), ())
            except OSError:
                return data.count(b"\n")
        return 0


def _never_waits(number: int) -> bool:
    """Whether writes to a file descriptor can be made not to wait, also those of libraries written in C.

    Its other users, such as a shell, share an open pipe or terminal with us, and must not notice: so it is opened anew.
    """
    try:
        mode = os.fstat(number).st_mode
        if stat.S_ISREG(mode):
            return True
        if not stat.S_ISFIFO(mode) and not stat.S_ISCHR(mode):
            return False
        ours = os.open(f"/proc/self/fd/{number}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:  # it has no reader any more, or another user's permissions
        return False
    os.dup2(ours, number)
    os.close(ours)
    return True


def _lost_line(lines: int) -> bytes:
    line: structlog.typing.EventDict = {
        "event": "lines of the log were lost, because nobody read it",
        "action": "log_lines_lost",
        "lines": lines,
        "component": "output",
        "level": "warning",
    }
    return orjson.dumps(_STAMPED(None, "", line), option=orjson.OPT_APPEND_NEWLINE)
