"""`make soak`: many fault runs on a node of their own; ends with 1 if the books do not balance.

    .venv/bin/python -m tests.soak [--runs 200] [--documents 500] [--seed 1]

A run is done again alone with `--runs 1 --seed` and its seed: the faults are the same, their timing nearly.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from sidecar.config import NodeSettings
from sidecar.models.catalogue import shipped_versions
from sidecar.opensearch.client import OpenSearchCluster
from sidecar.opensearch.local import start_node
from sidecar.telemetry import configure_logging
from sidecar.templates.apply import apply
from sidecar.templates.compiler import compile_template, default_base
from tests.soak.faultrun import Outcome, fault_run
from tests.support.http import http


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def soak(runs: int, documents: int, first_seed: int) -> int:
    outcomes: list[Outcome] = []
    version = shipped_versions()["all-minilm-l6-v2@1"]
    template = compile_template(
        "soak", version, default_base(), index_patterns=("soak-*",), source=("title", "abstract")
    )
    with tempfile.TemporaryDirectory(prefix="sidecar-soak-") as folder:
        node = await start_node(NodeSettings(), port=0, data=Path(folder), report=say)
        try:
            async with OpenSearchCluster(node.url) as cluster, http(node.url) as (direct,):
                await apply(cluster, template)
                for seed in range(first_seed, first_seed + runs):
                    index = f"soak-{seed}"
                    assert (await direct("PUT", f"/{index}")).status == 200
                    binding = template.binding.fields["embedding"]
                    outcomes.append(await fault_run(direct, index, binding, version, seed=seed, documents=documents))
                    await direct("DELETE", f"/{index}")
                    tell(outcomes[-1])
        finally:
            await node.stop()
    sums = {name: sum(len(getattr(one, name)) for one in outcomes) for name in ("lost", "duplicated", "unmarked")}
    counts = ", ".join(f"{name} {count}" for name, count in sums.items())
    acknowledged, pending = (sum(getattr(one, name) for one in outcomes) for name in ("acknowledged", "pending"))
    say(f"{runs} runs, {sum(len(one.faults) for one in outcomes)} faults, {acknowledged} documents acknowledged")
    say(f"{counts}; pending, to be repaired: {pending}")
    return 0 if all(one.is_good for one in outcomes) else 1


def tell(one: Outcome) -> None:
    say(
        f"seed {one.seed}: {len(one.faults)} faults, {one.attempts} requests, {one.acknowledged} of {one.documents} "
        f"acknowledged, {one.pending} pending, {'good' if one.is_good else 'BAD'}"
    )
    if not one.is_good:
        for name in ("lost", "duplicated", "unmarked", "unexpected", "faults"):
            say(f"  {name}: {getattr(one, name)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--documents", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1, help="of the first run; each has the next number")
    given = parser.parse_args()
    configure_logging("error")
    sys.exit(asyncio.run(soak(given.runs, given.documents, given.seed)))
