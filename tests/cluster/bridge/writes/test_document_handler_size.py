"""Large documents: none keeps the event loop for itself, and a very large one is left to the guard."""

import json

import pytest

from sidecar.bridge.writes.document_handler import MAX_DOCUMENT_BYTES
from sidecar.model import IndexBinding, SearchBinding, WritePolicy
from sidecar.models.catalogue import shipped_versions
from tests.cluster.bridges import Papers
from tests.support.between import between
from tests.support.provenances import state_of
from tests.support.steps import steps_of_handlers

MINILM = shipped_versions()["all-minilm-l6-v2@1"]
LONGEST_STEP_S = 0.05
LARGE = {"title": "Felines purr", "blob": "x" * MAX_DOCUMENT_BYTES}
DENSE = {"title": "Felines purr", "more": [{"number": n} for n in range(100_000)]}


@pytest.mark.parametrize("path", ["_doc/1", "_create/1", "_update/1"])
async def test_a_large_document_is_planned_off_the_loop(
    papers: Papers, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    body = {"doc": DENSE, "doc_as_upsert": True} if path.startswith("_update") else DENSE
    async with between(papers.direct.url, MINILM) as at:
        with steps_of_handlers(monkeypatch) as steps:
            answer = await at.bridge("POST", f"/{papers.index}/{path}", body)

    assert (answer.status, answer.ingested) == (201, (1, 0))
    assert steps.count > 0
    assert steps.longest_s < LONGEST_STEP_S


@pytest.mark.parametrize("path", ["_doc/1", "_create/1", "_update/1"])
async def test_a_very_large_document_is_left_to_the_guard(
    papers: Papers, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    body = {"doc": LARGE, "doc_as_upsert": True} if path.startswith("_update") else LARGE
    with steps_of_handlers(monkeypatch) as steps:
        answer = await papers.bridge("POST", f"/{papers.index}/{path}", json.dumps(body).encode())

    assert (answer.status, answer.ingested) == (201, (0, 1))
    assert steps.longest_s < LONGEST_STEP_S
    source = await papers.stored("1")
    assert state_of(source) == "pending"
    assert "embedding" not in source


async def test_a_very_large_document_is_refused_where_none_may_lack_its_vector(papers: Papers) -> None:
    binding = papers.binding.model_copy(update={"write": WritePolicy(on_failure="reject")})
    block = IndexBinding(fields={"embedding": binding}, search=SearchBinding(field="embedding")).to_meta()
    changed = await papers.direct("PUT", f"/{papers.index}/_mapping", {"_meta": {"sidecar": block}})
    assert changed.status == 200
    answer = await papers.bridge("PUT", f"/{papers.index}/_doc/1", LARGE)

    assert answer.status == 400
    assert "document: [8388" in answer.json["error"]["reason"]
    assert (await papers.direct("GET", f"/{papers.index}/_doc/1")).status == 404
