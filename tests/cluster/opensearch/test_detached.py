"""The node that outlives the command that started it."""

import json
import subprocess
import sys
from pathlib import Path

from tests.cluster.opensearch.test_local import (
    SETTINGS,
    folder,  # noqa: F401 - fixtures
)


def test_commands_start_report_and_stop_one_node(folder: Path) -> None:
    directory = folder / "nodes"
    directory.mkdir(parents=True)
    # The home of the tests is assembled already; only what is kept of the detached node must be apart.
    for home in SETTINGS.dir.glob("opensearch-*"):
        (directory / home.name).symlink_to(home)

    def sidecar(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "sidecar.cli.main", "node", *arguments, "--dir", str(directory)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    assert json.loads(sidecar("status", "--json").stdout) == {"state": "stopped", "url": None, "pid": None}
    started = sidecar("start", "--port", "0")
    try:
        assert started.returncode == 0, started.stderr
        url = started.stdout.strip()
        again = sidecar("start")
        assert (again.returncode, again.stdout.strip()) == (0, url)
        assert "already running" in again.stderr
        status = sidecar("status", "--json")
        assert status.returncode == 0
        assert json.loads(status.stdout)["state"] == "running"
        assert json.loads(status.stdout)["url"] == url
    finally:
        stopped = sidecar("stop")
    assert (stopped.returncode, stopped.stderr.split()[0]) == (0, "stopped")
    again = sidecar("stop")
    assert (again.returncode, again.stderr.strip()) == (0, "no local OpenSearch node is running")
    assert sidecar("status").returncode == 1
    path = sidecar("path")
    assert (path.returncode, Path(path.stdout.strip()).parent) == (0, directory)
