"""How long a search waits for its vectors."""

from dataclasses import dataclass

import pytest

from sidecar.bridge.searches.embed_budget import EmbedBudget, default_budget_s
from sidecar.errors import EmbedderUnavailable
from sidecar.ports import ServedModel
from tests.support.embedders import HashEmbedder
from tests.support.templates import TINY


@dataclass
class Measured(HashEmbedder):
    """An embedding server that knows the speed of its model."""

    full_text_s: float = 0.1
    lists: int = 0

    async def models(self) -> tuple[ServedModel, ...]:
        self.lists += 1
        await super().models()
        return (ServedModel(self.version, "hash", self.full_text_s),)


@pytest.mark.parametrize(
    ("full_text_s", "expected"),
    [
        pytest.param(0.0, 0.2, id="not known"),
        pytest.param(0.015, 0.2, id="fast: no less than before"),
        pytest.param(0.15, 1.5, id="slow"),
        pytest.param(4.0, 10.0, id="very slow: a search ends nevertheless"),
    ],
)
def test_the_default_follows_the_speed_of_the_model(full_text_s: float, expected: float) -> None:
    assert default_budget_s(full_text_s) == pytest.approx(expected)


async def test_the_server_is_asked_once_for_many_searches() -> None:
    embedder = Measured(TINY)
    budget = EmbedBudget(embedder, None)

    assert [await budget.seconds([TINY.id]) for _ in range(3)] == [pytest.approx(1.0)] * 3
    assert await budget.seconds(["another@1"]) == 0.2
    assert embedder.lists == 1


async def test_a_server_that_does_not_answer_is_asked_again() -> None:
    embedder = Measured(TINY, failure=EmbedderUnavailable("localhost:1", "gone"))
    budget = EmbedBudget(embedder, None)

    assert await budget.seconds([TINY.id]) == 0.2
    embedder.failure = None
    assert await budget.seconds([TINY.id]) == pytest.approx(1.0)


async def test_a_budget_that_is_set_needs_no_question() -> None:
    embedder = Measured(TINY)

    assert await EmbedBudget(embedder, 0.3).seconds([TINY.id]) == 0.3
    assert embedder.lists == 0
