"""The choice of the texts that are computed next. Pure.

Every text of a batch costs as much as its longest text, so texts of similar length belong together: on mixed lengths
that alone gives 2.7 times the throughput. The oldest text of a lane is always in the batch, so no text waits for ever.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from sidecar.ports import Lane

# While both lanes wait, BULK gets a fifth of the time. A person waits for it now and then, but a load never starves.
BULK_SHARE: Final = 0.2

# The size of a bulk batch before anything has been measured: some 50 ms of one slow core. Later ones are not smaller
# either: on a busy machine even a small batch takes long, and the rate alone would end in batches of one text each.
_LEAST_BULK_TOKENS: Final = 128


def choose_lane(*, interactive: bool, bulk: bool, owed_s: float, bulk_batch_s: float) -> Lane | None:
    """The lane that is served next. The arguments say which lanes hold texts and how much time BULK is owed.

    INTERACTIVE goes first until BULK is owed the time of one batch. None if no text waits.
    """
    if interactive and not (bulk and owed_s >= bulk_batch_s):
        return Lane.INTERACTIVE
    return Lane.BULK if bulk else None


def owed_after(owed_s: float, lane: Lane, seconds: float, *, bulk_waits: bool) -> float:
    """The time that BULK is owed after a batch of this lane took so many seconds.

    Seconds are counted instead of batches, because batches differ by a factor of 50. An empty lane is owed nothing, and
    BULK does not pay for time that nobody else wanted.
    """
    if not bulk_waits:
        return 0.0
    if lane is Lane.INTERACTIVE:
        return owed_s + seconds * BULK_SHARE / (1 - BULK_SHARE)
    return max(owed_s - seconds, 0.0)


def bulk_batch_tokens(tokens_per_s: float | None, max_batch_s: float, max_batch_tokens: int) -> int:
    """How many tokens a bulk batch may hold. A query then waits about `max_batch_s` at most until it ends.

    `tokens_per_s` includes padding. It is None before anything has been measured.
    """
    within = 0 if tokens_per_s is None else int(tokens_per_s * max_batch_s)
    return min(max(within, _LEAST_BULK_TOKENS), max_batch_tokens)


@dataclass(slots=True)
class Rate:
    """Tokens a second over the last batches. A batch counts by its size, because a short text says little of a load."""

    tokens: float = 0.0
    seconds: float = 0.0

    def learn(self, tokens: int, seconds: float) -> None:
        """Take a batch into account. A batch that is ten batches old counts for a tenth."""
        self.tokens = 0.8 * self.tokens + tokens
        self.seconds = 0.8 * self.seconds + seconds

    def per_s(self, *, telling_tokens: int = 1) -> float | None:
        """The rate, or None if fewer than `telling_tokens` have been seen."""
        return self.tokens / self.seconds if self.tokens >= telling_tokens else None


def best_batch_tokens(seconds: Callable[[int], float | None], sizes: Sequence[int]) -> int:
    """The size of a batch at which larger ones would gain less than a tenth. `sizes` are in ascending order.

    `seconds` tells how long a batch of so many tokens takes, or None if memory has no room for it. The first must fit.
    """
    best, best_rate = sizes[0], 0.0
    for size in sizes:
        took = seconds(size)
        if took is None or size / took < 1.1 * best_rate:
            break
        best, best_rate = size, size / took
    return best


def padded(length: int, bucket_tokens: int) -> int:
    """The length of a text after padding to the next multiple of `bucket_tokens`. With 0 there is no padding."""
    return length if bucket_tokens == 0 else -(-length // bucket_tokens) * bucket_tokens


def choose_batch(lengths: Sequence[int], max_tokens: int, bucket_tokens: int = 0) -> tuple[int, ...]:
    """The positions of the texts to compute together. `lengths` are their tokens, oldest first, at least one.

    The batch holds the oldest text and the texts that are nearest in length, as many as fit into `max_tokens` with
    padding. With `bucket_tokens` it holds the oldest texts that are padded to the same length. A text that is longer
    than `max_tokens` goes alone.
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
        if longer is not None and (shorter is None or longer * (size - 1) <= shorter):  # it needs less padding
            high += 1
        elif shorter is not None:
            low -= 1
        else:
            return tuple(sorted(by_length[low : high + 1]))


def padding_tokens(lengths: Sequence[int], bucket_tokens: int = 0) -> int:
    """The padding tokens in a batch of texts of these lengths."""
    return padded(max(lengths), bucket_tokens) * len(lengths) - sum(lengths)
