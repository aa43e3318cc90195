"""The content of one message, and the checks of its reply. Pure.

`rpc/client.py` sends the parts and gives the replies to `join`, so that its caller sees one answer.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sidecar.contract import embedding_pb2 as pb
from sidecar.errors import EmbedderMisbehaved, InvalidInput, SpaceMismatch
from sidecar.ports import EmbeddedText, Embeddings

_SPECIAL_TOKENS: Final = 8  # more than any model adds to a text

# The most bytes in a message beside texts and vectors.
_HEADING_BYTES: Final = 2_048
_TEXT_BYTES: Final = 8  # tag and length
_ITEM_BYTES: Final = 280  # the same number as in the server


@dataclass(frozen=True, slots=True)
class Part:
    """The texts of one message. `positions[i]` is the place of `texts[i]` in the caller's list."""

    positions: tuple[int, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a message may be. A text with more than `max_text_bytes` is never sent."""

    max_texts: int
    max_part_bytes: int
    max_text_bytes: int


def within(limits: Limits, info: pb.ModelInfo, max_message_bytes: int) -> Limits:
    """The limits, reduced to what the server takes, and to as many vectors as a message to us holds."""
    answer_bytes = min(info.max_message_bytes, max_message_bytes) - _HEADING_BYTES
    rows = max(answer_bytes // (4 * info.dimension + _ITEM_BYTES), 1)
    max_texts = min(limits.max_texts, info.max_texts, rows)
    room = max(info.max_message_bytes - _HEADING_BYTES - _TEXT_BYTES * max_texts, 0)
    return Limits(max_texts, min(limits.max_part_bytes, room), min(limits.max_text_bytes, room))


def split(texts: Sequence[str], limits: Limits) -> Iterator[Part]:
    """Cut texts into parts within the limits, in order. A long text gets its own part. An oversized one is left out."""
    positions: list[int] = []
    size = 0
    for position, text in enumerate(texts):
        weight = _utf8_length(text)
        if weight > limits.max_text_bytes:
            continue
        if positions and (len(positions) == limits.max_texts or size + weight > limits.max_part_bytes):
            yield Part(tuple(positions), tuple(texts[p] for p in positions))
            positions, size = [], 0
        positions.append(position)
        size += weight
    if positions:
        yield Part(tuple(positions), tuple(texts[p] for p in positions))


class Batches:
    """Cuts a source of texts of unknown length into lists that fit into one message each."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._texts: list[str] = []
        self._size = 0

    def add(self, text: str) -> list[str] | None:
        """Take one more text. The value is the list that is complete now, or None."""
        weight = _utf8_length(text)
        weight = 0 if weight > self._limits.max_text_bytes else weight  # such a text will not be sent
        full = len(self._texts) == self._limits.max_texts or self._size + weight > self._limits.max_part_bytes
        done = self.rest() if full and self._texts else None
        self._texts.append(text)
        self._size += weight
        return done

    def rest(self) -> list[str]:
        """The texts that no list holds yet."""
        texts, self._texts, self._size = self._texts, [], 0
        return texts


def most_tokens(texts: Sequence[str], *, max_tokens: int, prompt: str) -> int:
    """The most tokens that these texts may have: no tokenizer makes more tokens than bytes."""
    around = _utf8_length(prompt) + _SPECIAL_TOKENS
    return sum(min(_utf8_length(text) + around, max_tokens) for text in texts)


def _utf8_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8"))


def join(
    texts: Sequence[str],
    answered: Sequence[tuple[Part, pb.EmbedReply]],
    *,
    model: str,
    expect_space: str,
    max_text_bytes: int,
) -> Embeddings:
    """Put the replies together, in the order of the texts. A text that no part holds was too large to be sent.

    Raises EmbedderMisbehaved if a reply breaks the contract, SpaceMismatch if it is of an unexpected space.
    """
    matrices: list[NDArray[np.float32]] = []
    items: list[EmbeddedText | None] = [None] * len(texts)
    rows = 0
    for part, reply in answered:
        _check_origin(reply, answered[0][1], model, expect_space)
        matrix = _matrix(reply)
        for position, item in zip(part.positions, _items(reply, len(part.texts), len(matrix)), strict=True):
            items[position] = _embedded(item, rows)
        matrices.append(matrix)
        rows += len(matrix)
    first = answered[0][1] if answered else pb.EmbedReply(model=model, space=expect_space)
    return Embeddings(
        model=first.model,
        space=first.space,
        backend=first.backend,
        matrix=_stacked(matrices),
        items=tuple(item or _too_large(text, max_text_bytes) for item, text in zip(items, texts, strict=True)),
    )


def rows(found: Embeddings) -> NDArray[np.float32]:
    """One row per text, in order. Raises InvalidInput for the first text that has no vector."""
    for position, item in enumerate(found.items):
        if item.row < 0:
            raise InvalidInput(f"texts[{position}]", item.error or "it has no vector")
    return found.matrix[[item.row for item in found.items]]


def _check_origin(reply: pb.EmbedReply, first: pb.EmbedReply, model: str, expect_space: str) -> None:
    if reply.model != model:
        raise EmbedderMisbehaved(f"asked for model [{model}], it answers with [{reply.model}]")
    if expect_space and reply.space != expect_space:
        raise SpaceMismatch(model, expect_space, reply.space)
    if (reply.space, reply.backend, reply.dimension) != (first.space, first.backend, first.dimension):
        raise EmbedderMisbehaved("the parts of one call come from two spaces or back ends")


def _matrix(reply: pb.EmbedReply) -> NDArray[np.float32]:
    """The rows of a reply, as a view of its bytes where this machine is little-endian."""
    if reply.encoding != pb.ENCODING_FLOAT32:
        raise EmbedderMisbehaved(f"encoding [{reply.encoding}] was not asked for")
    if reply.dimension == 0 or len(reply.matrix) % (4 * reply.dimension) != 0:
        raise EmbedderMisbehaved(f"{len(reply.matrix)} bytes are not rows of {reply.dimension} float32 components")
    matrix = np.frombuffer(reply.matrix, dtype="<f4").reshape(-1, reply.dimension).astype(np.float32, copy=False)
    if not np.isfinite(matrix).all():
        raise EmbedderMisbehaved("a vector holds NaN or infinity")
    if not matrix.any(axis=1).all():
        raise EmbedderMisbehaved("a vector is all zeros")
    return matrix


def _items(reply: pb.EmbedReply, texts: int, rows: int) -> Sequence[pb.Item]:
    if len(reply.items) != texts:
        raise EmbedderMisbehaved(f"{texts} texts were sent, {len(reply.items)} items came back")
    for position, item in enumerate(reply.items):
        if not -1 <= item.row < rows:
            raise EmbedderMisbehaved(f"items[{position}] points at row {item.row} of {rows}")
        if (item.row < 0) != item.HasField("error"):
            raise EmbedderMisbehaved(f"items[{position}] must have either a row or an error")
    return reply.items


def _embedded(item: pb.Item, first_row: int) -> EmbeddedText:
    if item.row < 0:
        return EmbeddedText(row=-1, error=item.error.message or f"code {item.error.code}")
    return EmbeddedText(
        row=first_row + item.row,
        tokens=item.tokens,
        tokens_dropped=item.tokens_dropped,
        truncated=item.truncated,
        cached=item.cached,
        deduplicated=item.deduplicated,
    )


def _stacked(matrices: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    if len(matrices) == 1:
        return matrices[0]
    return np.concatenate(matrices) if matrices else np.empty((0, 0), dtype=np.float32)


def _too_large(text: str, limit: int) -> EmbeddedText:
    return EmbeddedText(row=-1, error=f"the text has {_utf8_length(text)} bytes; a message takes at most {limit}")
