"""Progress goes to stderr, one line for each step, and none for each of many downloads."""

import pytest

from sidecar.cli.steps import steps


def test_steps(capsys: pytest.CaptureFixture[str]) -> None:
    with steps() as report:
        report("assembling")
        report("downloaded a.jar")
        report("starting the node")
    seen = capsys.readouterr()

    assert seen.out == ""
    assert seen.err.splitlines() == ["assembling", "starting the node"]
