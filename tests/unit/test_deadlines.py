"""Case 26 of our list of faults: a clock that jumps moves no deadline, since nothing of ours reads the time of day."""

import ast
from pathlib import Path

import sidecar

_TIME_OF_DAY = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "date.today"}


def test_nothing_reads_the_time_of_day() -> None:
    found = [
        f"{path}:{node.lineno}"
        for path in Path(sidecar.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and ".".join(ast.unparse(node).rsplit(".", 2)[-2:]) in _TIME_OF_DAY
    ]

    assert found == []
