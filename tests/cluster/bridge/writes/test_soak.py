"""A sample of `make soak`: two of its fault runs, always the same; and bridges that such runs must find wanting."""

import pytest

from sidecar.models.catalogue import shipped_versions
from tests.cluster.bridges import Papers
from tests.soak.faultrun import fault_run
from tests.soak.mutants import MUTANTS

MINILM = shipped_versions()["all-minilm-l6-v2@1"]


@pytest.mark.parametrize("seed", [1, 2])
async def test_nothing_acknowledged_is_lost_or_doubled_and_no_text_goes_unmarked(papers: Papers, seed: int) -> None:
    outcome = await fault_run(papers.direct, papers.index, papers.binding, MINILM, seed=seed, documents=300)

    assert outcome.is_good, outcome
    assert outcome.faults
    assert outcome.acknowledged > outcome.documents * 0.7  # those with ids, and of the others what was answered


@pytest.mark.parametrize("mutant", MUTANTS)
async def test_a_bridge_that_breaks_its_promise_is_found(papers: Papers, mutant: str) -> None:
    """In one of a few short runs: which write a fault meets is chance, though the faults are always the same."""
    for seed in range(1, 9):
        index = f"{papers.index}-{seed}"
        assert (await papers.direct("PUT", f"/{index}")).status == 200
        with MUTANTS[mutant]():
            outcome = await fault_run(papers.direct, index, papers.binding, MINILM, seed=seed, documents=300)
        if not outcome.is_good:
            return
    pytest.fail(f"[{mutant}] was not found")
