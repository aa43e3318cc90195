"""The choice of the texts that are computed next. Pure.

A batch costs what its longest text makes of it, so texts of similar length belong together: on mixed lengths that alone
is worth 2.7 times the throughput. The oldest text of the lane is always in its batch, so nothing waits for ever.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from sidecar.ports import Lane

# Of the time in which both lanes wait, BULK gets a fifth: a person waits for it now and then, a load never starves.
BULK_SHARE: Final = 0.2

# A bulk batch before anything has been measured: some 50 ms of one slow core. Also the least that one is cut to: on a
# busy machine a batch costs time whatever it holds, and cutting by its rate would end in batches of one text each.
_LEAST_BULK_TOKENS: Final = 128


def choose_lane(*, interactive: bool, bulk: bool, owed_s: float, bulk_batch_s: float) -> Lane | None:
    """The lane that is served next, from which lanes hold texts and how much time BULK is owed.

    INTERACTIVE goes first until BULK is owed the time of one batch. None if nothing waits.
    """
    if interactive and not (bulk and owed_s >= bulk_batch_s):
        return Lane.INTERACTIVE
    return Lane.BULK if bulk else None


def owed_after(owed_s: float, lane: Lane, seconds: float, *, bulk_waits: bool) -> float:
    """What BULK is owed after a batch of this lane; time counts by its length, as batches differ by a factor of 50.

    Nothing is owed to a lane that is empty, nor does BULK pay for time that nobody else wanted.
    """
    if not bulk_waits:
        return 0.0
    if lane is Lane.INTERACTIVE:
        return owed_s + seconds * BULK_SHARE / (1 - BULK_SHARE)
    return max(owed_s - seconds, 0.0)


def bulk_batch_tokens(tokens_per_s: float | None, max_batch_s: float, max_batch_tokens: int) -> int:
    """How many tokens a bulk batch may hold, so that a query waits about `max_batch_s` at most for it to end.

    `tokens_per_s` counts padding; None: not measured yet.
    """
    within = 0 if tokens_per_s is None else int(tokens_per_s * max_batch_s)
    return min(max(within, _LEAST_BULK_TOKENS), max_batch_tokens)


@dataclass(slots=True)
class Rate:
    """Tokens a second over the last batches, each counting by its size: one short text tells little of a load."""

    tokens: float = 0.0
    seconds: float = 0.0

    def learn(self, tokens: int, seconds: float) -> None:
        """Take a batch into account; what is ten batches old counts for a tenth."""
        self.tokens = 0.8 * self.tokens + tokens
        self.seconds = 0.8 * self.seconds + seconds

    def per_s(self, *, telling_tokens: int = 1) -> float | None:
        """The rate; None if fewer than `telling_tokens` have been seen."""
        return self.tokens / self.seconds if self.tokens >= telling_tokens else None


def best_batch_tokens(seconds: Callable[[int], float | None], sizes: Sequence[int]) -> int:
    """The size of batch from which on larger ones gain less than a tenth; `sizes` grow.

    `seconds` tells how long a batch of so many tokens takes; None: there is no room for it. The first must fit.
    """
    best, best_rate = sizes[0], 0.0
    for size in sizes:
        took = seconds(size)
        if took is None or size / took < 1.1 * best_rate:
            break
        best, best_rate = size, size / took
    return best


def padded(length: int, bucket_tokens: int) -> int:
    """To how many tokens a text is padded on its own account; 0: to none."""
    return length if bucket_tokens == 0 else -(-length // bucket_tokens) * bucket_tokens


def choose_batch(lengths: Sequence[int], max_tokens: int, bucket_tokens: int = 0) -> tuple[int, ...]:
    """The positions of the texts to compute together; `lengths` are their tokens, oldest first, at least one.

    The oldest text and the nearest ones in length, as many as fit into `max_tokens` with padding; with `bucket_tokens`
    the oldest of those that are padded to the same length. A text that is longer than `max_tokens` goes alone.
    """
    if bucket_tokens:
        size = padded(lengths[0], bucket_tokens)
        equal = [position for position, length in enumerate(lengths) if size - bucket_tokens < length <= size]
        return tuple(equal[: max(max_tokens // size, 1)])
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


def padding_tokens(lengths: Sequence[int], bucket_tokens: int = 0) -> int:
    """Tokens that a batch of texts of these lengths computes for nothing."""
    return padded(max(lengths), bucket_tokens) * len(lengths) - sum(lengths)
