import pytest

from sidecar.embedding.batching import INTERACTIVE_IN_A_ROW, choose_batch, choose_lane, padding_tokens
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
    ("interactive", "bulk", "in_a_row", "lane"),
    [
        pytest.param(False, False, 0, None, id="nothing waits"),
        pytest.param(True, False, 99, Lane.INTERACTIVE, id="interactive alone is never held back"),
        pytest.param(False, True, 0, Lane.BULK, id="bulk alone"),
        pytest.param(True, True, 0, Lane.INTERACTIVE, id="interactive first"),
        pytest.param(True, True, INTERACTIVE_IN_A_ROW - 1, Lane.INTERACTIVE, id="interactive still first"),
        pytest.param(True, True, INTERACTIVE_IN_A_ROW, Lane.BULK, id="bulk has its share"),
    ],
)
def test_choose_lane(interactive: bool, bulk: bool, in_a_row: int, lane: Lane | None) -> None:
    assert choose_lane(interactive=interactive, bulk=bulk, interactive_in_a_row=in_a_row) is lane


def test_padding_tokens() -> None:
    assert padding_tokens([3, 5, 5]) == 2
