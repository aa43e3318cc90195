"""A sample of `make soak`: two of its fault runs, always the same; and a bridge that such runs must find wanting."""

import pytest

from sidecar.models.catalogue import shipped_versions
from tests.cluster.bridges import Papers
from tests.soak.faultrun import fault_run
from tests.soak.mutants import is_found

MINILM = shipped_versions()["all-minilm-l6-v2@1"]


@pytest.mark.parametrize("seed", [1, 2])
async def test_nothing_acknowledged_is_lost_or_doubled_and_no_text_goes_unmarked(papers: Papers, seed: int) -> None:
    outcome = await fault_run(papers.direct, papers.index, papers.binding, MINILM, seed=seed, documents=300)

    assert outcome.is_good, outcome
    assert outcome.faults
    assert outcome.acknowledged > outcome.documents * 0.7  # those with ids, and of the others what was answered


async def test_a_bridge_that_breaks_its_promise_is_found(papers: Papers) -> None:
    """One of the mutants of `make soak`."""
    assert await is_found("leaves a changed text unmarked", papers.direct, papers.index, papers.binding, MINILM)
