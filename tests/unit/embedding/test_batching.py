import pytest

from sidecar.embedding.batching import (
    Rate,
    best_batch_tokens,
    bulk_batch_tokens,
    choose_batch,
    choose_lane,
    owed_after,
    padding_tokens,
)
from sidecar.ports import Lane


@pytest.mark.parametrize(
    ("lengths", "max_tokens", "chosen"),
    [
        pytest.param([5], 100, (0,), id="the only text"),
        pytest.param([500], 100, (0,), id="a text longer than the budget goes alone"),
        pytest.param([10, 10, 10], 30, (0, 1, 2), id="equal lengths fill the budget to the last token"),
        pytest.param([10, 10, 10], 29, (0, 1), id="one token less and the last one stays"),
        pytest.param([10, 100, 11], 22, (0, 2), id="the nearest in length, not the next in line"),
        pytest.param([10, 4, 14], 28, (0, 2), id="longer ones too, if that pads no more"),
        pytest.param(
            [100, 1, 99, 2], 200, (0, 2), id="the oldest is in the batch, though a shorter pair would be cheaper"
        ),
        pytest.param([50, 200, 10, 40], 100, (0, 3), id="the budget counts the padded size"),
    ],
)
def test_choose_batch(lengths: list[int], max_tokens: int, chosen: tuple[int, ...]) -> None:
    assert choose_batch(lengths, max_tokens) == chosen


@pytest.mark.parametrize(
    ("lengths", "max_tokens", "chosen"),
    [
        pytest.param([5, 8, 9, 1], 100, (0, 1, 3), id="equal padded lengths only"),
        pytest.param([9, 8, 16], 100, (0, 2), id="the oldest decides which"),
        pytest.param([5, 8, 7], 16, (0, 1), id="the budget counts the padded size"),
        pytest.param([9, 10], 8, (0,), id="a text longer than the budget goes alone"),
    ],
)
def test_choose_batch_by_bucket(lengths: list[int], max_tokens: int, chosen: tuple[int, ...]) -> None:
    assert choose_batch(lengths, max_tokens, bucket_tokens=8) == chosen


@pytest.mark.parametrize(
    ("interactive", "bulk", "owed_s", "lane"),
    [
        pytest.param(False, False, 0.0, None, id="nothing waits"),
        pytest.param(True, False, 9.0, Lane.INTERACTIVE, id="interactive alone is never held back"),
        pytest.param(False, True, 0.0, Lane.BULK, id="bulk alone"),
        pytest.param(True, True, 0.0, Lane.INTERACTIVE, id="interactive first"),
        pytest.param(True, True, 0.049, Lane.INTERACTIVE, id="interactive still first"),
        pytest.param(True, True, 0.05, Lane.BULK, id="bulk is owed a batch"),
    ],
)
def test_choose_lane(interactive: bool, bulk: bool, owed_s: float, lane: Lane | None) -> None:
    assert choose_lane(interactive=interactive, bulk=bulk, owed_s=owed_s, bulk_batch_s=0.05) is lane


@pytest.mark.parametrize(
    ("owed_s", "lane", "bulk_waits", "after"),
    [
        pytest.param(0.0, Lane.INTERACTIVE, True, 0.1, id="a fifth of the time while both wait"),
        pytest.param(1.0, Lane.BULK, True, 0.6, id="a batch pays by its length"),
        pytest.param(0.1, Lane.BULK, True, 0.0, id="time that nobody else wanted is not charged"),
        pytest.param(1.0, Lane.INTERACTIVE, False, 0.0, id="an empty lane is owed nothing"),
    ],
)
def test_owed_after(owed_s: float, lane: Lane, bulk_waits: bool, after: float) -> None:
    assert owed_after(owed_s, lane, 0.4, bulk_waits=bulk_waits) == pytest.approx(after)


@pytest.mark.parametrize(
    ("tokens_per_s", "max_batch_s", "tokens"),
    [
        pytest.param(None, 0.05, 128, id="careful before the first measurement"),
        pytest.param(10_000.0, 0.05, 500, id="what the device does in that time"),
        pytest.param(1_000_000.0, 0.05, 1_024, id="never more than a batch may hold"),
        pytest.param(1.0, 0.05, 128, id="not below what any batch costs on a busy machine"),
    ],
)
def test_bulk_batch_tokens(tokens_per_s: float | None, max_batch_s: float, tokens: int) -> None:
    assert bulk_batch_tokens(tokens_per_s, max_batch_s, 1_024) == tokens


@pytest.mark.parametrize(
    ("lengths", "bucket_tokens", "tokens"),
    [
        pytest.param([3, 5, 5], 0, 2, id="to the longest"),
        pytest.param([3, 5, 5], 8, 11, id="to the bucket"),
        pytest.param([8], 8, 0, id="none at the bucket's edge"),
    ],
)
def test_padding_tokens(lengths: list[int], bucket_tokens: int, tokens: int) -> None:
    assert padding_tokens(lengths, bucket_tokens) == tokens


@pytest.mark.parametrize(
    ("seconds", "best"),
    [
        pytest.param({1: 1, 2: 1, 4: 1, 8: 1}, 8, id="every doubling costs nothing"),
        pytest.param({1: 1, 2: 1, 4: 2, 8: 4}, 2, id="full from two on"),
        pytest.param({1: 1, 2: 1, 4: None}, 2, id="no room for four"),
        pytest.param({1: 1, 2: 1.9, 4: 1.9, 8: 1.9}, 1, id="no gain at once"),
    ],
)
def test_best_batch_tokens(seconds: dict[int, float | None], best: int) -> None:
    assert best_batch_tokens(seconds.__getitem__, tuple(seconds)) == best


def test_a_rate_is_that_of_the_tokens_not_of_the_batches() -> None:
    rate = Rate()
    assert rate.per_s() is None
    rate.learn(3, 0.01)
    assert (rate.per_s(), rate.per_s(telling_tokens=256)) == (pytest.approx(300), None)
    rate.learn(1_000, 0.1)
    assert rate.per_s(telling_tokens=256) == pytest.approx(9_280, rel=0.01)
    for _ in range(20):
        rate.learn(1_000, 1.0)
    assert rate.per_s() == pytest.approx(1_000, rel=0.05)
