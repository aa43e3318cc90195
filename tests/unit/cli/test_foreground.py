"""A command in the foreground ends in order when it is told to."""

import asyncio
import os
import signal

import pytest

from sidecar.cli.foreground import NotReady, run_until_signal
from sidecar.errors import ErrorKind


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_what_runs_in_order(number: signal.Signals) -> None:
    seen = []

    async def serve() -> None:
        try:
            os.kill(os.getpid(), number)
            await asyncio.Event().wait()
        finally:
            seen.append("closed")

    run_until_signal(serve())

    assert seen == ["closed"]


def test_a_command_that_ends_by_itself_ends_without_a_signal() -> None:
    async def nothing() -> None: ...

    run_until_signal(nothing())


def test_a_cancellation_that_nobody_asked_for_is_passed_on() -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        run_until_signal(cancelled())


@pytest.mark.parametrize(("exit_code", "kind"), [(2, ErrorKind.CONFIGURATION), (1, ErrorKind.UNAVAILABLE)])
def test_a_child_that_ends_before_it_is_ready_says_whose_fault_it_is(exit_code: int, kind: ErrorKind) -> None:
    error = NotReady("embedder", exit_code)

    assert error.kind == kind
    assert str(error) == f"the embedder ended with exit code {exit_code} before it was ready"
