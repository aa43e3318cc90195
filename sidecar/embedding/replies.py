"""From what became of each distinct text to the reply: pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from google.rpc import code_pb2
from numpy.typing import NDArray

from sidecar.rpc.pb import embedding_pb2 as pb


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a text has no vector. The message never holds the text."""

    code: int
    message: str


EMPTY: Final = Failure(code_pb2.INVALID_ARGUMENT, "the text is empty")


def too_long(limit: int, dropped: int) -> Failure:
    """The failure of a text that must not be cut."""
    return Failure(code_pb2.OUT_OF_RANGE, f"the text has {limit + dropped} tokens; the model takes {limit}")


def broken(why: str) -> Failure:
    """The failure of a text whose batch the back end could not compute."""
    return Failure(code_pb2.INTERNAL, why)


_NOT_A_VECTOR: Final = Failure(code_pb2.INTERNAL, "the model gave no usable vector")  # NaN, infinity or all zeros


@dataclass(frozen=True, slots=True)
class Distinct:
    """The distinct texts of a request, and which one each of its texts is."""

    texts: tuple[str, ...]
    index: tuple[int, ...]


def distinct(texts: Sequence[str]) -> Distinct:
    """Each text once, in order of first appearance."""
    first = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    return Distinct(tuple(first), tuple(first[text] for text in texts))


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one distinct text: a pooled vector or a failure."""

    pooled: NDArray[np.float32] | None = None
    failure: Failure | None = None
    tokens: int = 0
    dropped: int = 0
    cached: bool = False
    shared: bool = False  # computed for another call


def matrix(answers: Sequence[Answer], dimension: int) -> NDArray[np.float32]:
    """The pooled vectors of those that have one, in order."""
    rows = [answer.pooled for answer in answers if answer.pooled is not None]
    return np.stack(rows) if rows else np.zeros((0, dimension), np.float32)


def items(
    answers: Sequence[Answer], usable: NDArray[np.bool_], index: Sequence[int]
) -> tuple[list[pb.Item], NDArray[np.intp]]:
    """One item per text of the request, in order, and which rows of `matrix` leave the server.

    `usable` tells the rows of `matrix` that are vectors from NaN and zeros. Repeats of a text are marked as
    deduplicated, as is a text that was computed for another call.
    """
    kept = np.flatnonzero(usable)
    final_row = np.where(usable, np.cumsum(usable) - 1, -1).tolist()
    rows = iter(final_row)
    made = [_item(answer, -1 if answer.pooled is None else next(rows)) for answer in answers]
    seen: set[int] = set()
    ordered = []
    for number in index:
        item = made[number]
        if number in seen and not item.deduplicated:
            item = pb.Item()
            item.CopyFrom(made[number])
            item.deduplicated = True
        seen.add(number)
        ordered.append(item)
    return ordered, kept


def _item(answer: Answer, row: int) -> pb.Item:
    item = pb.Item(
        row=row,
        tokens=answer.tokens,
        tokens_dropped=answer.dropped,
        truncated=answer.dropped > 0,
        cached=answer.cached,
        deduplicated=answer.shared,
    )
    failure = _NOT_A_VECTOR if answer.pooled is not None and row < 0 else answer.failure
    if failure is not None:
        item.error.code = failure.code
        item.error.message = failure.message
    return item
