"""The demo as a user sees it: in a terminal, with its commands pasted one after the other, ended by Ctrl-C."""

import json
import os
import pty
import re
import select
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support.provenances import state_of

# One after the other: two of these at once leave neither the processor that its time limits count on.
pytestmark = pytest.mark.xdist_group("whole machine")

PASSAGES = 150
FREE_PORTS = {
    "SIDECAR_NODE_HTTP_PORT": "0",
    "SIDECAR_BRIDGE_LISTEN": "127.0.0.1:0",
    "SIDECAR_BRIDGE_ADMIN_LISTEN": "127.0.0.1:0",
    "SIDECAR_EMBEDDER_LISTEN": "127.0.0.1:0",
    "SIDECAR_EMBEDDER_HTTP_LISTEN": "127.0.0.1:0",
    "SIDECAR_BRIDGE_SEARCH_EMBED_TIMEOUT_S": "30",  # on a busy machine, too, a search has its vector
}
CTRL_C = b"\x03"


def environment() -> dict[str, str]:
    return os.environ | FREE_PORTS | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "100"}


def read_until(terminal: int, text: str) -> str:
    seen = b""
    while text.encode() not in seen:
        try:
            part = os.read(terminal, 65_536)
        except OSError:  # EIO: the other side is closed
            part = b""
        assert part, f"the demo ended too soon:\n{seen.decode()}"
        seen += part
    return seen.decode().replace("\r\n", "\n")


def descendants(pid: int) -> Iterator[int]:
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            yield child
            yield from descendants(child)


def run(command: str) -> str:
    return subprocess.run(
        ["/bin/sh", "-c", command], env=environment(), capture_output=True, text=True, check=True
    ).stdout


def test_demo_in_a_terminal_and_everything_by_hand(tmp_path: Path, w8_models: Path) -> None:
    terminal, its_side = pty.openpty()
    demo = subprocess.Popen(
        [Path(sys.executable).with_name("sidecar"), "demo", "--limit", str(PASSAGES)],
        cwd=tmp_path,
        env=environment(),
        preexec_fn=partial(os.login_tty, its_side),  # noqa: PLW1509 - the tests have no other thread
    )
    os.close(its_side)
    try:
        page = read_until(terminal, "Everything keeps running until Ctrl-C.")
        assert f"{PASSAGES} have a vector of their text" in page
        commands = re.findall(r"^(?:curl|\S*/sidecar) .*?$", page, re.MULTILINE)
        answers = [run(command) for command in commands]
        parts = [os.pidfd_open(pid) for pid in descendants(demo.pid)]
        os.write(terminal, CTRL_C)
        assert demo.wait() == 0
    finally:
        demo.kill()
        demo.wait()
        os.close(terminal)
    assert len(parts) >= 3, "node, embedder and bridge"
    assert all(select.select([part], [], [], 0)[0] for part in parts), "a process was left behind"
    for part in parts:
        os.close(part)

    diff, direct, bridged, put, provenance, put_around, provenance_around, binding, vectors = answers
    assert diff == ""
    assert [len(json.loads(found)["hits"]["hits"]) for found in (direct, bridged)] == [3, 3]
    assert json.loads(put)["result"] == "created"
    assert state_of(json.loads(provenance)["_source"]) == "ok"
    assert json.loads(put_around)["result"] == "updated"
    assert state_of(json.loads(provenance_around)["_source"]) == "pending"
    assert json.loads(binding)["bindings"]["docstrings"]["fields"]["embedding"]["source"] == ["title", "abstract"]
    assert "all-minilm-l6-v2@1" in vectors
