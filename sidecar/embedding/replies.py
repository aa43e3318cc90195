"""From what became of each distinct text to the reply: pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from google.rpc import code_pb2
from numpy.typing import NDArray

from sidecar.embedding.tokenizing import TokenizedText
from sidecar.rpc.pb import embedding_pb2 as pb


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a text has no vector. The message never holds the text."""

    code: int
    message: str


EMPTY: Final = Failure(code_pb2.INVALID_ARGUMENT, "the text is empty")


def too_long(text: TokenizedText) -> Failure:
    """The failure of a text that must not be cut."""
    limit = len(text.ids)
    return Failure(code_pb2.OUT_OF_RANGE, f"the text has {limit + text.dropped} tokens; the model takes {limit}")


def not_a_vector() -> Failure:
    """The failure of a text whose vector holds NaN or infinity, or is all zeros."""
    return Failure(code_pb2.INTERNAL, "the model gave no usable vector")


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
class Outcome:
    """What became of one distinct text: a row of the matrix or a failure."""

    text: TokenizedText | None  # None: not tokenised
    row: int
    failure: Failure | None = None


def outcomes(
    texts: Sequence[TokenizedText | Failure],
    computed: Sequence[int],
    failures: dict[int, str],
    usable: NDArray[np.bool_],
) -> tuple[list[Outcome], list[int]]:
    """What became of each distinct text, and which computed rows make the matrix.

    `computed[r]` is the text whose vector stands in computed row r; `failures` are those rows that have none, `usable`
    tells vectors from NaN and zeros.
    """
    found = [Outcome(None, -1, text) if isinstance(text, Failure) else Outcome(text, -1) for text in texts]
    kept: list[int] = []
    for computed_row, number in enumerate(computed):
        text = found[number].text
        if computed_row in failures:
            found[number] = Outcome(text, -1, Failure(code_pb2.INTERNAL, failures[computed_row]))
        elif not usable[computed_row]:
            found[number] = Outcome(text, -1, not_a_vector())
        else:
            found[number] = Outcome(text, len(kept))
            kept.append(computed_row)
    return found, kept


def items(found: Sequence[Outcome], index: Sequence[int]) -> list[pb.Item]:
    """One item per text of the request, in order; repeats of a text are marked as deduplicated."""
    seen: set[int] = set()
    made = []
    for number in index:
        made.append(_item(found[number], repeated=number in seen))
        seen.add(number)
    return made


def _item(outcome: Outcome, *, repeated: bool) -> pb.Item:
    item = pb.Item(row=outcome.row, deduplicated=repeated)
    if outcome.text is not None:
        item.tokens = len(outcome.text.ids)
        item.tokens_dropped = outcome.text.dropped
        item.truncated = outcome.text.dropped > 0
    if outcome.failure is not None:
        item.error.code = outcome.failure.code
        item.error.message = outcome.failure.message
    return item
