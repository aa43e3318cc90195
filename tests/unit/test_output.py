"""Whoever does not read what a process writes, or has gone, changes nothing else."""

import os
import threading
from collections.abc import Callable

import pytest

from sidecar.output import LossyWriter
from tests.support.readers import READERS, full_disk

LINE = b"x" * 99 + b"\n"


def writer(number: int, *, at_once: bool) -> LossyWriter:
    if at_once:
        os.set_blocking(number, False)
    return LossyWriter(number, at_once=at_once, lost_line=lambda lines: b"%d lost\n" % lines)


def read_all(read: int, write: int) -> bytes:
    os.close(write)
    with open(read, "rb") as file:
        return file.read()


@pytest.mark.parametrize("at_once", [True, False])
def test_lines_arrive_in_order(*, at_once: bool) -> None:
    read, write = os.pipe()
    lines = [b"line %d\n" % number for number in range(1_000)]
    log = writer(write, at_once=at_once)
    for line in lines:
        assert log.write(line) == len(line)
    log.finish(60)
    assert read_all(read, write) == b"".join(lines)


@pytest.mark.parametrize("at_once", [True, False])
def test_lines_that_do_not_fit_are_lost_and_told_when_it_is_read_again(*, at_once: bool) -> None:
    read, write = os.pipe()
    log = writer(write, at_once=at_once)
    written = 40_000
    for _ in range(written):
        log.write(LINE)
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(read_all(read, os.dup(write))))
    reader.start()
    log.finish(60)
    log.write(b"last\n")
    log.finish(60)
    os.close(write)
    reader.join(60)
    lines = found[0].splitlines(keepends=True)
    (told,) = [line for line in lines if line.endswith(b"lost\n")]
    kept = lines.count(LINE)
    assert lines[-1] == b"last\n"
    assert kept < 25_000  # what waits is bounded
    assert int(told.split()[0]) == written - kept


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_no_reader_makes_a_write_wait_or_raise(reader: Callable, *, at_once: bool) -> None:
    with reader() as number:
        # Of its own, and never closed: the thread may still hold it, and must not write to another test's file.
        log = writer(os.dup(number), at_once=at_once)
        for _ in range(20_000):
            assert log.write(LINE) == len(LINE)
        log.finish(0.01)


def test_a_disk_that_has_room_again_gets_the_next_line_and_the_count() -> None:
    read, write = os.pipe()
    with full_disk() as full:
        number = os.dup(full)
        log = writer(number, at_once=True)
        log.write(LINE + LINE)
        log.write(LINE)
        os.dup2(write, number)
        log.write(b"again\n")
        log.write(b"and again\n")
        os.close(number)
    assert read_all(read, write) == b"3 lost\nagain\nand again\n"
