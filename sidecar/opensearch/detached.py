"""The one node that outlives the command that started it: `sidecar node start`, `stop` and `status`.

Its record is the file `run/node.json` in the node's folder. Of two commands at once, one waits for the other.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from sidecar.config import NodeSettings
from sidecar.errors import ClusterUnreachable
from sidecar.files import locked
from sidecar.opensearch.assembly import make_reachable
from sidecar.opensearch.client import OpenSearchCluster
from sidecar.opensearch.instance import Instance
from sidecar.opensearch.local import LocalNode, start_node

_ANSWER_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """The state of the detached node."""

    state: Literal["running", "unresponsive", "stopped"]  # unresponsive: the process lives, but does not answer
    url: str | None = None
    pid: int | None = None


def running_node(settings: NodeSettings) -> LocalNode | None:
    """The detached node if its process lives. A process that has its old id by chance is recognised."""
    run = _run(settings)
    try:
        record = json.loads((run / "node.json").read_bytes())
        command_line = Path(f"/proc/{record['pid']}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    is_ours = Instance(run).conf_argument.encode() in command_line.split(b"\0")
    return LocalNode(record["url"], record["pid"]) if is_ours else None


def start_detached(settings: NodeSettings, *, port: int, report: Callable[[str], None]) -> tuple[LocalNode, bool]:
    """The detached node, and whether it was started just now. Blocks. Raises as `start_node` does."""
    run = _run(settings)
    make_reachable(run)
    with locked(run / "lock"):
        node = running_node(settings)
        if node is not None:
            return node, False
        node = asyncio.run(start_node(settings, port=port, data=run, detached=True, report=report))
        (run / "node.json").write_text(json.dumps({"url": node.url, "pid": node.pid}))
        return node, True


def stop_detached(settings: NodeSettings) -> LocalNode | None:
    """End the detached node, wait for it and return it; None if there is none. Blocks."""
    run = _run(settings)
    if not run.is_dir():
        return None
    with locked(run / "lock"):
        node = running_node(settings)
        if node is not None:
            asyncio.run(node.stop())
        (run / "node.json").unlink(missing_ok=True)
        return node


async def detached_status(settings: NodeSettings) -> NodeStatus:
    """Whether the detached node lives, and whether it answers."""
    node = running_node(settings)
    if node is None:
        return NodeStatus("stopped")
    async with OpenSearchCluster(node.url, timeout_s=_ANSWER_TIMEOUT_S) as cluster:
        try:
            reply = await cluster.call("GET", "/")
        except ClusterUnreachable:
            return NodeStatus("unresponsive", node.url, node.pid)
    return NodeStatus("running" if reply.ok else "unresponsive", node.url, node.pid)


def _run(settings: NodeSettings) -> Path:
    return settings.dir / "run"
