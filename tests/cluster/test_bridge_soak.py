"""A sample of `make soak`: three of its fault runs, always the same."""

import pytest

from sidecar.models.catalogue import shipped_versions
from tests.cluster.bridges import Papers
from tests.soak.faultrun import fault_run

MINILM = shipped_versions()["all-minilm-l6-v2@1"]


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_nothing_acknowledged_is_lost_or_doubled_and_no_text_goes_unmarked(papers: Papers, seed: int) -> None:
    outcome = await fault_run(papers.direct, papers.index, papers.binding, MINILM, seed=seed)

    assert outcome.is_good, outcome
    assert outcome.faults
    assert outcome.acknowledged > outcome.documents * 0.7  # those with ids, and of the others what was answered
