"""No bulk keeps the bridge's event loop for itself: other requests must go on."""

import pytest

from sidecar.models.catalogue import shipped_versions
from tests.cluster.bridges import Papers
from tests.support.between import between
from tests.support.http import ndjson
from tests.support.steps import steps_of_handlers

MINILM = shipped_versions()["all-minilm-l6-v2@1"]
LONGEST_STEP_S = 0.05


async def test_a_bulk_of_many_short_documents_does_not_block_the_loop(
    papers: Papers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer is put together from those of several parts."""
    body = ndjson(*(line for n in range(2_500) for line in ({"index": {"_id": str(n)}}, {"title": f"Passage {n}" * 5})))
    async with between(papers.direct.url, MINILM) as at:
        with steps_of_handlers(monkeypatch) as steps:
            answer = await at.bridge("POST", f"/{papers.index}/_bulk", body)

    assert len(body) < 256 * 1024
    assert answer.ingested == (2_500, 0)
    assert steps.count > 10, "no step of a handler was seen"
    assert steps.longest_s < LONGEST_STEP_S
