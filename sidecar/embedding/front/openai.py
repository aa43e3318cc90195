"""The embeddings API of OpenAI in our terms: request, answer and errors. Pure.

`http.py` speaks HTTP. OpenAI's shape has no place for the error of one text, so a text without a vector refuses the
whole request, and `param` names it. We add fields for the things that the API does not know: `input_type` and
`truncate` in requests, `space`, `backend` and `truncated` in answers.
"""

import base64
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import orjson
from google.rpc import code_pb2

from sidecar.contract import embedding_pb2 as pb
from sidecar.embedding.statuses import InvalidRequest, retry_after_s
from sidecar.errors import ErrorKind, InvalidInput, ModelNotFound, SidecarError
from sidecar.jsontext import Json, loads
from sidecar.provenance import well_formed

_KNOWN: Final = frozenset({"input", "model", "dimensions", "encoding_format", "user", "input_type", "truncate"})
_ROLES: Final[dict[Json, pb.Role]] = {
    None: pb.ROLE_UNSPECIFIED,
    "query": pb.ROLE_QUERY,
    "passage": pb.ROLE_PASSAGE,
    "document": pb.ROLE_PASSAGE,
}
_LANES: Final = {"interactive": pb.LANE_INTERACTIVE, "bulk": pb.LANE_BULK}
_PARAMS: Final = {"texts": "input", "role": "input_type", "dimension": "dimensions"}
_MILLISECONDS: Final = re.compile("[0-9]{1,9}")
_LARGEST_UINT32: Final = 2**32 - 1
_MOST_IDS: Final = 65_536  # more than any model takes, and few enough that other requests can wait for their text

_STATUSES: Final = {
    ErrorKind.BAD_INPUT: 400,
    ErrorKind.NOT_FOUND: 404,
    ErrorKind.CONFLICT: 409,
    ErrorKind.TOO_LARGE: 413,
    ErrorKind.OVERLOADED: 429,
    ErrorKind.UNAVAILABLE: 503,
    ErrorKind.DEADLINE: 504,
}
_CODES: Final = {401: "invalid_api_key", 404: "not_found", 405: "method_not_allowed", 413: "request_too_large"}


@dataclass(eq=False)
class TimedOut(SidecarError):
    """The answer did not come before the caller's own deadline."""

    timeout_s: float
    kind = ErrorKind.DEADLINE

    def __str__(self) -> str:
        return f"no answer within {self.timeout_s * 1000:.0f} ms (X-Sidecar-Timeout-Ms)"


@dataclass(eq=False)
class NoVector(SidecarError):
    """A text of the request has no vector."""

    position: int
    item: pb.ItemError

    def __post_init__(self) -> None:
        self.kind = ErrorKind.INTERNAL if self.item.code == code_pb2.INTERNAL else ErrorKind.BAD_INPUT

    def __str__(self) -> str:
        return f"input[{self.position}]: {self.item.message}"


@dataclass(frozen=True, slots=True)
class EmbeddingsBody:
    """The body of POST /v1/embeddings, checked as far as that is possible without the model."""

    model: str  # as the client wrote it
    texts: tuple[str, ...]
    token_ids: tuple[tuple[int, ...], ...]  # instead of texts
    dimension: int
    as_base64: bool
    role: pb.Role
    refuse_long: bool
    lane: pb.Lane

    def request(self, model: str, texts: Sequence[str]) -> pb.EmbedRequest:
        """The request to the service, for a full model version id and with the texts of any token ids."""
        return pb.EmbedRequest(
            model=model,
            texts=[well_formed(text) for text in texts],
            role=self.role,
            on_too_long=pb.ON_TOO_LONG_ERROR if self.refuse_long else pb.ON_TOO_LONG_TRUNCATE_END,
            dimension=self.dimension,
            lane=self.lane,
        )


def parse(body: bytes, lane: str | None) -> EmbeddingsBody:
    """Read the body of POST /v1/embeddings. `lane` is the header X-Sidecar-Lane.

    An unknown field is refused, because a misspelt `input_type` would give vectors of the wrong role. Raises
    InvalidInput.
    """
    try:
        document = loads(body)
    except ValueError as error:
        raise InvalidInput("body", f"is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise InvalidInput("body", "must be a JSON object")
    for name in document:
        if name not in _KNOWN:
            raise InvalidInput(name, "is not a field of this request")
    model = document.get("model")
    if not isinstance(model, str):
        raise InvalidInput("model", "must be given, as a string")
    texts, token_ids = _input(document.get("input"))
    return EmbeddingsBody(
        model=model,
        texts=texts,
        token_ids=token_ids,
        dimension=_dimension(document.get("dimensions")),
        as_base64=_encoding(document.get("encoding_format")),
        role=_role(document.get("input_type")),
        refuse_long=not _truncate(document.get("truncate")),
        lane=_lane(lane, len(texts) + len(token_ids)),
    )


def timeout_s(header: str | None) -> float | None:
    """How long the caller waits, from the header X-Sidecar-Timeout-Ms. None without one. Raises InvalidInput."""
    if header is None:
        return None
    if not _MILLISECONDS.fullmatch(header) or int(header) == 0:
        raise InvalidInput("X-Sidecar-Timeout-Ms", "must be a whole number of milliseconds from 1 to 999999999")
    return int(header) / 1000


def full_id(name: str, loaded: Sequence[str]) -> str:
    """The model version of a request, which names its id, or its bare name if only one version of it is loaded.

    Raises ModelNotFound.
    """
    meant = [version_id for version_id in loaded if name in {version_id, version_id.partition("@")[0]}]
    if len(meant) != 1:
        raise ModelNotFound(name, tuple(loaded))
    return meant[0]


def token_texts(texts: Sequence[str | None], model: str) -> tuple[str, ...]:
    """The texts of a request that holds token ids. Raises InvalidInput for the first ids that no text has."""
    for position, text in enumerate(texts):
        if text is None:
            problem = f"must be token ids of the tokenizer of [{model}], its special tokens included; or send the text"
            raise InvalidInput(f"input[{position}]", problem)
    return tuple(text for text in texts if text is not None)


def answer(reply: pb.EmbedReply, *, as_base64: bool) -> bytes:
    """The body of the answer to POST /v1/embeddings. Raises NoVector for the first text that has none."""
    for position, item in enumerate(reply.items):
        if item.row < 0:
            raise NoVector(position, item.error)
    matrix = np.frombuffer(reply.matrix, dtype="<f4").reshape(-1, reply.dimension).astype(np.float32, copy=False)
    data = []
    for position, item in enumerate(reply.items):
        vector = matrix[item.row]
        entry: dict[str, object] = {
            "object": "embedding",
            "index": position,
            "embedding": base64.b64encode(vector.astype("<f4").tobytes()).decode() if as_base64 else vector,
        }
        if item.truncated:
            entry |= {"truncated": True, "tokens_dropped": item.tokens_dropped}
        data.append(entry)
    tokens = sum(item.tokens for item in reply.items)
    document = {
        "object": "list",
        "data": data,
        "model": reply.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        "space": reply.space,
        "backend": reply.backend,
    }
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


def described(info: pb.ModelInfo) -> dict[str, object]:
    """A model in the shape of GET /v1/models. A version has no date, so `created` is 0."""
    return {
        "id": info.model,
        "object": "model",
        "created": 0,
        "owned_by": "sidecar",
        "dimension": info.dimension,
        "max_tokens": info.max_tokens,
        "space": info.space,
        "backend": info.backend,
    }


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """An error as OpenAI's clients read it."""

    status: int
    body: bytes
    headers: Mapping[str, str]


def error_answer(error: SidecarError) -> ErrorAnswer:
    """The one table from our errors to HTTP."""
    status = _STATUSES.get(error.kind, 500)
    wait_s = retry_after_s(error)
    headers = {"Retry-After": str(max(math.ceil(wait_s), 1))} if wait_s else {}
    code = "model_not_found" if isinstance(error, ModelNotFound) else None
    return plain_error(status, str(_in_their_words(error)), param=_param(error), code=code, headers=headers)


def plain_error(
    status: int,
    message: str,
    *,
    param: str | None = None,
    code: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> ErrorAnswer:
    """An error that already has a status, such as one of the HTTP library or of the gate."""
    kind = "rate_limit_error" if status == 429 else "server_error" if status >= 500 else "invalid_request_error"
    error = {"message": message, "type": kind, "param": param, "code": code or _CODES.get(status)}
    return ErrorAnswer(status, orjson.dumps({"error": error}), headers or {})


def _in_their_words(error: SidecarError) -> SidecarError:
    """The service names the fields of the contract. A caller of this API knows others."""
    if not isinstance(error, InvalidRequest):
        return error
    return InvalidRequest(tuple(InvalidInput(_field(one.field), one.problem) for one in error.violations))


def _field(of_contract: str) -> str:
    name, bracket, rest = of_contract.partition("[")
    return _PARAMS.get(name, name) + bracket + rest


def _param(error: SidecarError) -> str | None:
    match error:
        case NoVector(position=position):
            return f"input[{position}]"
        case InvalidInput(field=field):
            return field
        case InvalidRequest(violations=(InvalidInput(field=field), *_)):
            return _field(field)
        case ModelNotFound():
            return "model"
        case _:
            return None


def _input(value: Json) -> tuple[tuple[str, ...], tuple[tuple[int, ...], ...]]:
    """The texts, or the token ids, of one of the four shapes that `input` may have."""
    if isinstance(value, str):
        return (value,), ()
    if not isinstance(value, list) or not value:
        raise InvalidInput("input", "must be a string, or a list of strings or token ids that is not empty")
    if isinstance(value[0], str):
        return tuple(_text(one, position) for position, one in enumerate(value)), ()
    if isinstance(value[0], list):
        return (), tuple(_ids(one, f"input[{position}]") for position, one in enumerate(value))
    return (), (_ids(value, "input"),)


def _text(value: Json, position: int) -> str:
    if not isinstance(value, str):
        raise InvalidInput(f"input[{position}]", "must be a string, as input[0] is")
    return value


def _ids(value: Json, name: str) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise InvalidInput(name, "must be a list of token ids, as input[0] is")
    if len(value) > _MOST_IDS:
        raise InvalidInput(name, f"must hold at most {_MOST_IDS} token ids, not {len(value)}")
    ids = tuple(one for one in value if type(one) is int and 0 <= one <= _LARGEST_UINT32)
    if len(ids) != len(value):
        raise InvalidInput(name, "must hold nothing but token ids")
    return ids


def _dimension(value: Json) -> int:
    if value is None:
        return 0
    if type(value) is not int or not 1 <= value <= _LARGEST_UINT32:
        raise InvalidInput("dimensions", "must be a positive whole number")
    return value


def _encoding(value: Json) -> bool:
    if value not in (None, "float", "base64"):
        raise InvalidInput("encoding_format", "must be float or base64")
    return value == "base64"


def _role(value: Json) -> pb.Role:
    if isinstance(value, dict | list) or value not in _ROLES:
        raise InvalidInput("input_type", "must be query, passage or document")
    return _ROLES[value]


def _truncate(value: Json) -> bool:
    if value is not None and not isinstance(value, bool):
        raise InvalidInput("truncate", "must be true or false")
    return value is not False


def _lane(header: str | None, inputs: int) -> pb.Lane:
    """The lane of a request. Without the header, one text is a query of a person, and several texts are a load."""
    if header is None:
        return pb.LANE_INTERACTIVE if inputs == 1 else pb.LANE_BULK
    if header.lower() not in _LANES:
        raise InvalidInput("X-Sidecar-Lane", "must be interactive or bulk")
    return _LANES[header.lower()]
