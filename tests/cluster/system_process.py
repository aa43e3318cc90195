"""The system of one test run, as a process between pytest and its parts: `system_process.py PYTEST_PID`.

Starts a real node, the embedder with the real model and a bridge, as `sidecar up` does, and prints their addresses as
JSON. Stops them when it is told to, or when pytest is no more, however that came about. It is a process of its own
because the worker that asks for the system first may well be the first to end.
"""

import json
import os
import sys
from dataclasses import asdict

from sidecar.cli.foreground import run_until_signal
from sidecar.cli.up import running_system
from sidecar.config import load_configuration
from sidecar.opensearch.local import process_ended

_ANY = "127.0.0.1:0"


async def _serve(pytest_pid: int) -> None:
    os.environ["SIDECAR_BRIDGE_SEARCH_EMBED_TIMEOUT_S"] = "30"  # on a busy machine, too, a search has its vector
    configuration = load_configuration(
        {
            "bridge.listen": _ANY,
            "bridge.admin_listen": _ANY,
            "embedder.listen": _ANY,
            "embedder.http_listen": _ANY,
            "node.http_port": 0,
        }
    )
    async with running_system(
        configuration, upstream=None, report=lambda line: sys.stderr.write(f"{line}\n")
    ) as system:
        sys.stdout.write(json.dumps(asdict(system.addresses)) + "\n")
        sys.stdout.flush()
        await process_ended(pytest_pid)


if __name__ == "__main__":
    run_until_signal(_serve(int(sys.argv[1])))
