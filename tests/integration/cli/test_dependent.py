"""A command of ours as a child: ready when it says so, and gone when its parent is."""

import os
import subprocess
import sys
import threading

import pytest

from sidecar.cli.foreground import NotReady, child

DEPENDENT = (sys.executable, "-m", "sidecar.cli.dependent")


async def test_a_child_runs_beside_threads_of_its_parent_and_ends_with_its_context() -> None:
    done = threading.Event()
    other = threading.Thread(target=done.wait)
    other.start()
    try:
        free = ("--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
        async with child("bridge", free) as bridge:
            assert bridge.ready.keys() == {"bridge", "admin"}
        assert await bridge.exited() == 0
    finally:
        done.set()
        other.join()


async def test_a_child_that_cannot_start_says_so() -> None:
    with pytest.raises(NotReady, match="the bridge ended with exit code 2 before it was ready"):
        async with child("bridge", ("--listen", "nowhere")):
            pass


def test_who_is_orphaned_before_it_can_watch_its_parent_does_nothing() -> None:
    other = os.getpid() + 1
    done = subprocess.run([*DEPENDENT, str(other), "config", "show"], capture_output=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (1, b"")
