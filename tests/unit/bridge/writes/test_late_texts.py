"""Texts that no write waits for: few at a time, a limited number, and none after the end."""

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from sidecar.bridge.writes import late_texts
from sidecar.bridge.writes.late_texts import LateTexts
from sidecar.errors import DeadlineExceeded, EmbedderOverloaded, SidecarError
from sidecar.model import Role
from sidecar.ports import EmbeddedText, Embeddings, Lane, ServedModel, Space
from tests.support.virtual_time import run

SPACE, OTHER = Space("m@1", "a"), Space("n@1", "b")


class Recorder:
    """Writes down what is asked, and how many calls are in work."""

    def __init__(self, *failures: SidecarError) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.lanes: set[Lane] = set()
        self.failures = list(failures)
        self.in_work = self.most_in_work = 0

    async def embed(
        self, texts: Sequence[str], role: Role, *, model: str, expect_space: str = "", lane: Lane, timeout_s: float
    ) -> Embeddings:
        self.in_work += 1
        self.most_in_work = max(self.most_in_work, self.in_work)
        await asyncio.sleep(1)
        self.in_work -= 1
        self.asked.append(tuple(texts))
        self.lanes.add(lane)
        if self.failures:
            raise self.failures.pop(0)
        return Embeddings(
            model, expect_space, "x", np.ones((len(texts), 2), np.float32), (EmbeddedText(0),) * len(texts)
        )

    async def models(self) -> tuple[ServedModel, ...]:
        return ()


def asked_for(recorder: Recorder, *added: tuple[Space, Sequence[str]]) -> list[tuple[str, ...]]:
    async def work() -> None:
        async with LateTexts(recorder) as late:
            for space, texts in added:
                late.add(space, texts)
            await asyncio.sleep(1_000)

    run(work())
    return recorder.asked


def test_texts_of_one_space_are_asked_for_in_order_one_call_at_a_time() -> None:
    recorder = Recorder()
    asked = asked_for(recorder, (SPACE, ["a", "b"]), (OTHER, ["b"]), (SPACE, ["a", "c"]))

    assert asked == [("a",), ("b",), ("b",), ("c",)]
    assert (recorder.most_in_work, recorder.lanes) == (1, {Lane.BULK})


def test_a_busy_embedder_is_asked_again_and_another_failure_is_left_to_repair() -> None:
    recorder = Recorder(EmbedderOverloaded(3.0), EmbedderOverloaded(3.0), DeadlineExceeded("h:1", 60))

    assert asked_for(recorder, (SPACE, ["a", "b"])) == [("a",)] * 3 + [("b",)]


@pytest.mark.parametrize("length", [0, 3_000], ids=["many-short", "few-long"])
def test_only_so_many_texts_wait(monkeypatch: pytest.MonkeyPatch, length: int) -> None:
    monkeypatch.setattr(late_texts, "_MAX_CHARACTERS", 40 * 1_024)
    recorder = Recorder()
    asked_for(recorder, (SPACE, [f"{n:05}" + "x" * length for n in range(1_000)]))

    assert sum(map(len, recorder.asked)) == (39 if not length else 10)
