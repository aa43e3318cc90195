"""From what became of each distinct text to the reply: pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final

import numpy as np
from google.rpc import code_pb2
from numpy.typing import NDArray

from sidecar.embedding.chunking import Part
from sidecar.errors import ErrorKind
from sidecar.rpc.pb import embedding_pb2 as pb

ITEM_KINDS: Final = {  # what the codes of an ItemError mean, as metrics tell it
    code_pb2.INVALID_ARGUMENT: ErrorKind.BAD_INPUT,
    code_pb2.OUT_OF_RANGE: ErrorKind.TOO_LARGE,
    code_pb2.INTERNAL: ErrorKind.INTERNAL,
}


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
    answers: Sequence[Answer],
    usable: NDArray[np.bool_],
    of: Sequence[Sequence[Part]],
    index: Sequence[int],
    *,
    chunked: bool = False,
) -> tuple[list[pb.Item], NDArray[np.intp]]:
    """One item per text of the request, in order, and which rows of `matrix` leave the server.

    `usable` tells the rows of `matrix` that are vectors from NaN and zeros; `of` tells which answers belong to a
    distinct text. The rows of a text leave only if each of its parts has one. Repeats of a text are marked as
    deduplicated, as is a text that was computed for another call.
    """
    pooled = count()
    judged = [_judged(answer, usable, pooled) for answer in answers]
    failed = [_first_failure(judged, parts) for parts in of]
    leaving = {part.number for parts, failure in zip(of, failed, strict=True) if failure is None for part in parts}
    position = {number: row for row, number in enumerate(sorted(leaving))}
    made = [
        _item([(part, answers[part.number]) for part in parts], failure, position, chunked=chunked)
        for parts, failure in zip(of, failed, strict=True)
    ]
    rows = np.cumsum([answer.pooled is not None for answer in answers]) - 1
    kept = np.array([rows[number] for number in sorted(leaving)], dtype=np.intp)
    return _repeated(made, index), kept


def _judged(answer: Answer, usable: NDArray[np.bool_], pooled: Iterator[int]) -> Failure | None:
    """Why an answer has no vector that can leave."""
    if answer.pooled is None:
        return answer.failure
    return None if usable[next(pooled)] else _NOT_A_VECTOR


def _first_failure(judged: Sequence[Failure | None], parts: Sequence[Part]) -> Failure | None:
    return next((failure for part in parts if (failure := judged[part.number]) is not None), None)


def _item(
    parts: Sequence[tuple[Part, Answer]], failure: Failure | None, position: Mapping[int, int], *, chunked: bool
) -> pb.Item:
    dropped = sum(answer.dropped for _, answer in parts)
    item = pb.Item(
        row=-1 if failure else position[parts[0][0].number],
        tokens=sum(answer.tokens for _, answer in parts),
        tokens_dropped=dropped,
        truncated=dropped > 0,
        cached=all(answer.cached for _, answer in parts),
        deduplicated=all(answer.shared for _, answer in parts),
    )
    if failure is not None:
        item.error.code = failure.code
        item.error.message = failure.message
    elif chunked:
        item.chunks.extend(
            pb.Chunk(row=position[part.number], char_start=part.start, char_end=part.end) for part, _ in parts
        )
    return item


def _repeated(made: Sequence[pb.Item], index: Sequence[int]) -> list[pb.Item]:
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
    return ordered
