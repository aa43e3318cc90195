"""The check of a request, before any text is tokenised. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np

from sidecar.contract import embedding_pb2 as pb
from sidecar.embedding.replies import DTYPES
from sidecar.embedding.statuses import InvalidRequest
from sidecar.embedding.text.tokenizer import most_characters
from sidecar.errors import InvalidInput, SpaceMismatch
from sidecar.model import ModelVersion, Role
from sidecar.ports import Lane

_ROLES: Final[dict[int, Role | None]] = {
    pb.ROLE_UNSPECIFIED: None,
    pb.ROLE_PASSAGE: Role.PASSAGE,
    pb.ROLE_QUERY: Role.QUERY,
}
_LANES: Final[dict[int, Lane]] = {
    pb.LANE_UNSPECIFIED: Lane.BULK,
    pb.LANE_INTERACTIVE: Lane.INTERACTIVE,
    pb.LANE_BULK: Lane.BULK,
}

# The most bytes in a reply beside the vectors.
_HEADING_BYTES: Final = 1_024
_ITEM_BYTES: Final = 256  # with the sentence of an error
_CHUNK_BYTES: Final = 24


@dataclass(frozen=True, slots=True)
class CheckedRequest:
    """An EmbedRequest with every default filled in."""

    space: str  # of the vectors in the reply: the version's own, unless the request changes dimension or length
    prompt: str
    refuse_long: bool  # refuse a long text instead of cutting its end off
    chunk: bool  # cut a long text into parts
    normalize: bool
    dimension: int
    encoding: pb.Encoding
    lane: Lane


def check_embed(request: pb.EmbedRequest, version: ModelVersion, own_space: str, max_texts: int) -> CheckedRequest:
    """Check a request against the model version that it names, whose space is `own_space`.

    Raises InvalidRequest with every bad field, SpaceMismatch.
    """
    violations = (
        *_texts(len(request.texts), max_texts),
        *_role(request.role, version),
        *_embed_fields(request, version),
    )
    if violations:
        raise InvalidRequest(violations)
    dimension = request.dimension or version.dimension
    normalize = request.normalize if request.HasField("normalize") else version.normalized
    space = own_space  # a hash over the whole version, so it is not computed for each request
    if (dimension, normalize) != (version.dimension, version.normalized):
        space = version.model_copy(update={"dimension": dimension, "normalized": normalize}).space
    if request.expect_space not in {"", space}:
        raise SpaceMismatch(version.id, request.expect_space, space)
    return CheckedRequest(
        space=space,
        prompt=prompt_of(request.role, version),
        refuse_long=request.on_too_long == pb.ON_TOO_LONG_ERROR,
        chunk=request.on_too_long == pb.ON_TOO_LONG_CHUNK,
        normalize=normalize,
        dimension=dimension,
        encoding=request.encoding or pb.ENCODING_FLOAT32,
        lane=_LANES[request.lane],
    )


@dataclass(frozen=True, slots=True)
class ReplyLimit:
    """The most rows of a reply. A request with more is refused before anything is computed."""

    rows: int
    message_bytes: int

    def check(self, rows: int) -> None:
        """Raises InvalidRequest."""
        if rows > self.rows:
            problem = (
                f"give more than {self.rows} vectors, and a reply takes at most {self.message_bytes} bytes"
                " (embedder.max_message_bytes): send fewer texts at once"
            )
            raise InvalidRequest((InvalidInput("texts", problem),))


def reply_limit(request: pb.EmbedRequest, checked: CheckedRequest, max_message_bytes: int) -> ReplyLimit:
    """How many vectors fit into one reply to this request, beside the items of its texts."""
    row_bytes = checked.dimension * np.dtype(DTYPES[checked.encoding]).itemsize + _CHUNK_BYTES
    around = _HEADING_BYTES + len(request.request_id.encode()) + _ITEM_BYTES * len(request.texts)
    return ReplyLimit(max(max_message_bytes - around, 0) // row_bytes, max_message_bytes)


def check_tokenize(request: pb.TokenizeRequest, version: ModelVersion, max_texts: int) -> None:
    """Check a request to count tokens. No text is cut there, so a text may be too long. Raises InvalidRequest."""
    violations = (
        *_texts(len(request.texts), max_texts),
        *_role(request.role, version),
        *islice(_lengths(request.texts, most_characters(version.max_tokens)), 1),
    )
    if violations:
        raise InvalidRequest(violations)


def check_reply_bytes(reply_bytes: int, max_message_bytes: int) -> None:
    """Refuse a count of tokens that does not fit into a message. Raises InvalidRequest."""
    if reply_bytes > max_message_bytes:
        problem = (
            f"have more tokens than can be told in a reply of at most {max_message_bytes} bytes"
            " (embedder.max_message_bytes): send fewer texts at once"
        )
        raise InvalidRequest((InvalidInput("texts", problem),))


def prompt_of(role: int, version: ModelVersion) -> str:
    """The prompt for a role that has been checked."""
    return version.prompts.of(_ROLES[role] or Role.PASSAGE)  # unspecified is allowed only if both prompts are equal


def _texts(texts: int, limit: int) -> Iterator[InvalidInput]:
    if texts == 0:
        yield InvalidInput("texts", "must hold at least one text")
    if texts > limit:
        yield InvalidInput("texts", f"must hold at most {limit} texts, not {texts}")


def _lengths(texts: Iterable[str], limit: int) -> Iterator[InvalidInput]:
    for position, text in enumerate(texts):
        if len(text) > limit:
            yield InvalidInput(f"texts[{position}]", f"must have at most {limit} characters, not {len(text)}")


def _role(role: int, version: ModelVersion) -> Iterator[InvalidInput]:
    if role not in _ROLES:
        yield InvalidInput("role", f"[{role}] is not known")
    elif _ROLES[role] is None and version.prompts.passage != version.prompts.query:
        yield InvalidInput("role", f"must be given: [{version.id}] has different prompts for passages and queries")


def _embed_fields(request: pb.EmbedRequest, version: ModelVersion) -> Iterator[InvalidInput]:
    if request.dimension > version.dimension:
        yield InvalidInput("dimension", f"must be at most {version.dimension}, not {request.dimension}")
    if request.encoding and request.encoding not in DTYPES:
        yield InvalidInput("encoding", f"[{request.encoding}] is not known")
    if request.on_too_long not in pb.OnTooLong.values():
        yield InvalidInput("on_too_long", f"[{request.on_too_long}] is not known")
    if request.lane not in _LANES:
        yield InvalidInput("lane", f"[{request.lane}] is not known")
    if request.cache not in pb.CachePolicy.values():
        yield InvalidInput("cache", f"[{request.cache}] is not known")
