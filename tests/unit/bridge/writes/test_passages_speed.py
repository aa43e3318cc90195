"""Vectors that come before the deadline are kept, at any speed. Time is virtual, so the counts are exact."""

import asyncio

import pytest

from sidecar.bridge.writes.document_plan import DocumentPlan, Vectors, Wanted, must_wait
from sidecar.bridge.writes.late_texts import LateTexts
from sidecar.bridge.writes.passages import Passages
from sidecar.errors import EmbedderOverloaded, EmbedderUnavailable, SidecarError
from sidecar.model import WritePolicy
from tests.support.bindings import a_binding
from tests.support.slow_embedder import SlowEmbedder, entry_of, slow_embedder
from tests.support.virtual_time import run

BINDING = a_binding()
BUDGET_S = 4.1  # no batch ends just then


def plans_of(count: int, first: int = 0) -> list[DocumentPlan]:
    return [DocumentPlan((Wanted(BINDING, f"Passage {n}"),)) for n in range(first, first + count)]


def with_vectors(plans: list[DocumentPlan], vectors: Vectors) -> int:
    return sum(vectors.find(plan.wanted[0])[0] is not None for plan in plans)


async def embed(passages: Passages, plans: list[DocumentPlan], budget: str = "4100ms") -> int:
    return with_vectors(plans, await passages.embed(plans, passages.deadline({"timeout": budget})))


@pytest.mark.parametrize("is_known", [False, True], ids=["first-write", "known-speed"])
@pytest.mark.parametrize("texts_per_s", [0.7, 1, 3, 8, 30, 100, 300, 1_000, 10_000])
def test_at_any_speed_nearly_all_texts_computed_before_the_deadline_are_written(
    monkeypatch: pytest.MonkeyPatch, texts_per_s: float, *, is_known: bool
) -> None:
    async def work() -> tuple[int, int, int]:
        monkeypatch.setattr("sidecar.embedding.batcher.perf_counter", asyncio.get_running_loop().time)
        async with slow_embedder(texts_per_s) as embedder, LateTexts(embedder) as late:
            passages = Passages(embedder, late, 60.0)
            if is_known:
                await embed(passages, plans_of(50, first=100_000), budget="50s")
                await asyncio.sleep(1_000)  # until nothing is late
            before = embedder.backend.computed
            plans = plans_of(2_000)
            written = await embed(passages, plans)
            return written, embedder.backend.computed - before, len(embedder.asked)

    written, computed, calls = run(work())

    assert written >= 0.9 * computed
    assert written >= 0.8 * min(2_000, int(BUDGET_S * texts_per_s))
    assert calls <= 300


def test_late_texts_are_computed_in_the_background_and_a_retry_finds_them(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        monkeypatch.setattr("sidecar.embedding.batcher.perf_counter", asyncio.get_running_loop().time)
        async with slow_embedder(10) as embedder, LateTexts(embedder) as late:
            passages, plans = Passages(embedder, late, 60.0), plans_of(100)
            written = await embed(passages, plans)
            assert 30 <= written <= 40
            await asyncio.sleep(1_000)
            again = await embed(passages, plans)
            assert (again, embedder.backend.computed) == (100, 100)
            assert all(entry_of(f"Passage {n}", embedder.cache) for n in range(100))

    run(work())


def test_late_texts_are_given_up_when_the_bridge_stops() -> None:
    async def work() -> int:
        async with slow_embedder(10) as embedder:
            async with LateTexts(embedder) as late:
                await embed(Passages(embedder, late, 60.0), plans_of(100))
            await asyncio.sleep(5)
            computed = embedder.backend.computed
            await asyncio.sleep(100)
            assert embedder.backend.computed == computed
            return computed

    assert run(work()) < 60


class Failing(SlowEmbedder):
    """Fails the first calls."""

    def fail(self, times: int, failure: SidecarError) -> None:
        self.times, self.failure = times, failure

    async def embed(self, texts, role, **more):
        self.asked.append(len(texts))
        if len(self.asked) <= self.times:
            raise self.failure
        return await super().embed(texts, role, **more)


@pytest.mark.parametrize(
    ("failure", "computed_later"),
    [(EmbedderOverloaded(2.0), 3), (EmbedderUnavailable("h:1", "away"), 0)],
    ids=["busy", "away"],
)
def test_only_texts_that_a_busy_embedder_refuses_are_tried_later(failure: SidecarError, computed_later: int) -> None:
    async def work() -> int:
        async with slow_embedder(10) as slow, LateTexts(slow) as late:
            failing = Failing.__new__(Failing)
            failing.__dict__.update(slow.__dict__, asked=[])
            failing.fail(100, failure)
            assert await embed(Passages(failing, late, 60.0), plans_of(3)) == 0
            await asyncio.sleep(30)
            return slow.backend.computed

    assert run(work()) == computed_later


def test_a_text_without_an_answer_waits_only_if_its_binding_wants_no_document_without_a_vector() -> None:
    strict = a_binding(write=WritePolicy(on_failure="reject"))
    vectors = Vectors()
    vectors.miss(Wanted(strict, "late").space, ["late"])

    assert must_wait(DocumentPlan((Wanted(strict, "late"),)), vectors)
    assert not must_wait(DocumentPlan((Wanted(strict, "in time"),)), vectors)
    assert not must_wait(DocumentPlan((Wanted(BINDING, "late"),)), vectors)
