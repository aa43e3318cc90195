"""`make soak`: writes under faults and searches beside changes, on a node of their own; ends with 1 if one is wrong.

    .venv/bin/python -m tests.soak [--runs 200] [--documents 500] [--sequences 500] [--pages 1000] [--searches 5000]
        [--requests 10000] [--seed 1] [--mutant NAME]

A fault run is done again alone with `--runs 1 --sequences 0 --pages 0 --searches 0 --requests 0 --seed` and its
seed: the faults are the same, their timing nearly. Then short runs with each mutant, a bridge that breaks its promise, must find it. With
`--mutant` all fault runs are of that bridge, and should be bad.
"""

import argparse
import asyncio
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from sidecar.config import NodeSettings
from sidecar.models.catalogue import shipped_versions
from sidecar.opensearch.client import OpenSearchCluster
from sidecar.opensearch.local import start_node
from sidecar.telemetry import configure_logging
from sidecar.templates.apply import apply
from sidecar.templates.compiler import compile_template, default_base
from tests.soak.faultrun import Outcome, fault_run
from tests.soak.filters import filtered, filtered_searches
from tests.soak.fuzz import wrong_answers
from tests.soak.mutants import MUTANTS, is_found
from tests.soak.pages import differing_pages
from tests.support.corpus import corpus
from tests.support.http import http
from tests.support.machine import run_machine

_REQUESTS_OF_A_BRIDGE = 2_000
_WRONGS = ("lost", "duplicated", "unmarked", "unrepaired")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def soak(
    *,
    runs: int,
    documents: int,
    sequences: int,
    pages: int,
    searches: int,
    requests: int,
    first_seed: int,
    mutant: str | None,
) -> int:
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
                binding = template.binding.fields["embedding"]
                for seed in range(first_seed, first_seed + runs):
                    index = f"soak-{seed}"
                    assert (await direct("PUT", f"/{index}")).status == 200
                    with MUTANTS[mutant]() if mutant else nullcontext():
                        one = await fault_run(direct, index, binding, version, seed=seed, documents=documents)
                    outcomes.append(one)
                    await direct("DELETE", f"/{index}")
                    tell(one)
                missed = []
                for name in () if mutant else MUTANTS:
                    if not await is_found(name, direct, f"soak-mutant-{len(missed)}", binding, version):
                        missed.append(name)
                    say(f"mutant [{name}]: {'NOT FOUND' if name in missed else 'found'}")
                if sequences:
                    await run_machine(node.url, version, "sequences", runs=sequences, steps=50)
                async with corpus(cluster, "pages", 5, 2, 1) as changing:
                    wrong_pages = await differing_pages(changing, pages)
                async with filtered(node.url, "filtered") as where:
                    tally = await filtered_searches(where, seed=first_seed, count=searches)
                log, wrong_requests = Path(folder, "bridge.log"), []
                for done in range(0, requests, _REQUESTS_OF_A_BRIDGE):
                    count = min(_REQUESTS_OF_A_BRIDGE, requests - done)
                    wrong_requests += await wrong_answers(
                        node.url, f"fuzz-{done}", log, count=count, first_seed=first_seed + 2 * done
                    )
        finally:
            await node.stop()
    for line in (*wrong_pages, *tally.wider, *wrong_requests):
        say(line)
    sums = {name: sum(len(getattr(one, name)) for one in outcomes) for name in _WRONGS}
    counts = ", ".join(f"{name} {count}" for name, count in sums.items())
    acknowledged, pending = (sum(getattr(one, name) for one in outcomes) for name in ("acknowledged", "pending"))
    faults = sum(len(one.faults) for one in outcomes)
    modes = ", ".join(f"{name} {count}" for name, count in sorted(tally.modes.items()))
    table = Table("what", "number", "wrong", "notes", box=box.SIMPLE)
    bad_runs = sum(not one.is_good for one in outcomes)
    table.add_row(
        "fault runs", f"{runs:,}", f"{bad_runs}", f"{faults:,} faults, {acknowledged:,} documents acknowledged"
    )
    table.add_row("", "", "", f"{counts}; pending, and repaired: {pending:,}")
    table.add_row(
        "bridges that break a promise", f"{0 if mutant else len(MUTANTS)}", f"{len(missed)}", "not found is wrong"
    )
    table.add_row("sequences of writes against the model", f"{sequences:,}", "0", "of 50 steps at most")
    table.add_row(
        "fused pages beside updates", f"{pages:,}", f"{len(wrong_pages)}", "the cluster's own hits and scores"
    )
    table.add_row("filtered searches", f"{searches:,}", f"{len(tally.wider)}", f"{tally.hits:,} hits; {modes}")
    table.add_row("drawn requests", f"{requests:,}", f"{len(wrong_requests)}", "each through the bridge and directly")
    Console(width=120).print(table)
    return 1 if bad_runs or missed or wrong_pages or tally.wider or wrong_requests else 0


def tell(one: Outcome) -> None:
    say(
        f"seed {one.seed}: {len(one.faults)} faults, {one.attempts} requests, {one.acknowledged} of {one.documents} "
        f"acknowledged, {one.pending} pending, {'good' if one.is_good else 'BAD'}"
    )
    if not one.is_good:
        for name in (*_WRONGS, "unexpected", "faults"):
            say(f"  {name}: {getattr(one, name)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--documents", type=int, default=500)
    parser.add_argument("--sequences", type=int, default=500, help="of writes, played against a model")
    parser.add_argument("--pages", type=int, default=1_000, help="fused in the bridge beside updates")
    parser.add_argument("--searches", type=int, default=5_000, help="with random filters")
    parser.add_argument("--requests", type=int, default=10_000, help="good, odd and broken, also sent directly")
    parser.add_argument(
        "--seed", dest="first_seed", type=int, default=1, help="of the first run; each has the next number"
    )
    parser.add_argument("--mutant", choices=MUTANTS, help="a bridge that breaks its promise, for the fault runs")
    given = parser.parse_args()
    configure_logging("error")
    sys.exit(asyncio.run(soak(**vars(given))))
