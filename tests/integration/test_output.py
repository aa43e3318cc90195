"""The standard streams of a process whose log nobody reads."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.readers import READERS, gone, unread

GUARDED = "import sys, os\nfrom sidecar.output import guard_streams, say\nguard_streams()\n"


def run(code: str, *, closed: str = "", **streams: int) -> subprocess.CompletedProcess[str]:
    """Run Python in a process whose streams were closed by a shell, as in `2>&-`."""
    command = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", GUARDED + code]
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
    return subprocess.run(command, check=False, text=True, timeout=60, stdin=subprocess.DEVNULL, **piped)


def test_what_is_written_is_read_in_order_until_the_end() -> None:
    done = run("for n in range(3000): print(n, 'of', 'many' * 20, file=sys.stderr)")
    assert [line.split()[0] for line in done.stderr.splitlines()] == [str(number) for number in range(3_000)]


@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_no_file_takes_the_place_of_a_stream_that_was_closed(closed: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    code = (
        f"with open({str(file)!r}, 'w') as file:\n"
        "    print('a line of the log', file=sys.stderr); os.write(2, b'of C'); say('ready'); print('out')\n"
        "    sys.stdin.read(); assert file.fileno() > 2\n"
    )
    assert run(code, closed=closed).returncode == 0
    assert file.read_text() == ""


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_a_process_ends_as_ever_whoever_reads_it(reader: Callable) -> None:
    with reader() as number:
        done = run("for n in range(9999): print('x' * 99, file=sys.stderr)\nsay('ready'); sys.exit(3)", stderr=number)
        assert (done.returncode, done.stdout) == (3, "ready\n")
        assert run("say('ready'); sys.exit(3)", stdout=number).returncode == 3


def test_a_library_written_in_c_does_not_wait_either() -> None:
    with unread() as number:
        code = "try: os.write(2, b'x' * 99999)\nexcept BlockingIOError: say('went on')"
        assert run(code, stderr=number).stdout == "went on\n"
        assert os.get_blocking(number)  # for its other users


def test_a_log_on_a_file_continues_where_others_write(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as file:
        file.write("before\n")
        file.flush()
        run("print('ours', file=sys.stderr)", stderr=file.fileno())
    assert (tmp_path / "log").read_text() == "before\nours\n"


def test_lost_lines_are_told_in_the_form_of_the_log() -> None:
    read, write = os.pipe()
    with gone() as number:
        code = f"print('a', file=sys.stderr); os.dup2({write}, 2); print('b', file=sys.stderr)"
        command = [sys.executable, "-c", GUARDED + code]
        subprocess.run(command, check=True, stderr=number, pass_fds=[write], timeout=60)
    os.close(write)
    with os.fdopen(read, "rb") as file:
        told, line = file.read().splitlines()
    assert (line, json.loads(told)["action"], json.loads(told)["lines"]) == (b"b", "log_lines_lost", 1)
