"""The errors of this package: one tree, one enum of kinds. Pure.

Each front door has one table from `ErrorKind` to its own statuses: `bridge/proxy/errors.py` (OpenSearch's error shape),
`embedding/statuses.py` and `rpc/failures.py` (gRPC), `embedding/front/openai.py` (HTTP), `cli/main.py` (exit codes). An
exception carries its data as attributes and builds its sentence in `__str__`.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_LONGEST_NAME: Final = 256
_LONGEST_SENTENCE: Final = 2_048


def _shortened(text: str, most: int) -> str:
    """The beginning of a text for a message or a log, where a client's bytes must not come back whole."""
    return text if len(text) <= most else text[:most] + "…"


class ErrorKind(StrEnum):
    """The kind of a failure, on which a program can act."""

    BAD_INPUT = "bad_input"  # the caller must change the request
    CONFIGURATION = "configuration"  # the operator must change a setting or the machine
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"  # the present state contradicts the request
    TOO_LARGE = "too_large"
    OVERLOADED = "overloaded"  # try again later
    UNAVAILABLE = "unavailable"  # nobody answers now
    DEADLINE = "deadline"  # the answer took too long
    INTERNAL = "internal"


class SidecarError(Exception):
    """The base of every error that this package raises on purpose.

    Subclasses set `kind` and build their sentence from attributes in `__str__`.
    """

    kind: ErrorKind = ErrorKind.INTERNAL

    def __post_init__(self) -> None:
        """Shorten the attributes, because they may hold the text of a client."""
        for name, value in vars(self).items():
            if isinstance(value, str):
                setattr(self, name, _shortened(value, _LONGEST_SENTENCE))


@dataclass(eq=False)
class InvalidInput(SidecarError):
    """A value that is not accepted. The sentence names the field, the problem and the value."""

    field: str
    problem: str
    kind = ErrorKind.BAD_INPUT

    def __post_init__(self) -> None:
        self.field = _shortened(self.field, _LONGEST_NAME)
        super().__post_init__()

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}"


@dataclass(eq=False)
class BodyTooLarge(SidecarError):
    """The decoded body of a request is larger than a server of ours takes."""

    limit: int
    setting: str
    kind = ErrorKind.TOO_LARGE

    def __str__(self) -> str:
        return f"the decoded request body is larger than the limit of [{self.limit}] bytes ({self.setting})"


@dataclass(eq=False)
class ConfigurationError(SidecarError):
    """A setting, a file or the machine does not allow the request."""

    problem: str
    kind = ErrorKind.CONFIGURATION

    def __str__(self) -> str:
        return self.problem


@dataclass(eq=False)
class ModelNotFound(SidecarError):
    """No model version of this id is known (or loaded) where it was asked for."""

    model: str
    known: tuple[str, ...] = ()
    kind = ErrorKind.NOT_FOUND

    def __post_init__(self) -> None:
        self.model = _shortened(self.model, _LONGEST_NAME)
        super().__post_init__()

    def __str__(self) -> str:
        known = f"; known: {', '.join(self.known)}" if self.known else ""
        return f"model [{self.model}] is not known here{known}"


@dataclass(eq=False)
class SpaceMismatch(SidecarError):
    """The caller expects another fingerprint than the model version has, so vectors of two spaces would have met."""

    model: str
    expected: str
    actual: str
    kind = ErrorKind.CONFLICT

    def __post_init__(self) -> None:
        self.expected = _shortened(self.expected, _LONGEST_NAME)
        super().__post_init__()

    def __str__(self) -> str:
        return f"model [{self.model}] has space [{self.actual}], but [{self.expected}] is expected"


@dataclass(eq=False)
class Conflict(SidecarError):
    """The present state contradicts the request. Nothing was changed."""

    problem: str
    kind = ErrorKind.CONFLICT

    def __str__(self) -> str:
        return self.problem


@dataclass(eq=False)
class ClusterUnreachable(SidecarError):
    """The cluster gave no answer at all. An answer that says no is a `Reply`, not an error."""

    url: str
    cause: str
    kind = ErrorKind.UNAVAILABLE

    def __str__(self) -> str:
        return f"no answer from the cluster at {self.url}: {self.cause}"


@dataclass(eq=False)
class ConnectionLost(ClusterUnreachable):
    """The connection to the cluster ended after a request was sent. It may have been carried out or not."""

    def __str__(self) -> str:
        return f"the connection to the cluster at {self.url} was lost: {self.cause}"


@dataclass(eq=False)
class ClusterTimedOut(ClusterUnreachable):
    """The cluster has taken a request and not answered it in time. It may have carried it out or not."""

    kind = ErrorKind.DEADLINE


@dataclass(eq=False)
class ClusterRefused(SidecarError):
    """The cluster answered a call of ours with an error, and the caller needs the answer."""

    call: str
    status: int
    reason: str
    kind = ErrorKind.CONFLICT

    def __str__(self) -> str:
        return f"{self.call} was answered with {self.status}: {self.reason}"


@dataclass(eq=False)
class EmbedderUnavailable(SidecarError):
    """The embedder did not answer, or answered that it is not able to now."""

    address: str
    cause: str
    kind = ErrorKind.UNAVAILABLE

    def __str__(self) -> str:
        return f"no vectors from the embedder at {self.address}: {self.cause}"


@dataclass(eq=False)
class EmbedderOverloaded(SidecarError):
    """The embedder's queue is full, or it cannot meet the deadline."""

    retry_after_s: float
    kind = ErrorKind.OVERLOADED

    def __str__(self) -> str:
        return f"the embedder is busy; try again in {self.retry_after_s:.1f} s"


@dataclass(eq=False)
class DeadlineExceeded(SidecarError):
    """The embedder took longer than its deadline."""

    address: str
    timeout_s: float
    kind = ErrorKind.DEADLINE

    def __str__(self) -> str:
        return f"no vectors from the embedder at {self.address} within {self.timeout_s:g} s"


@dataclass(eq=False)
class EmbedderMisbehaved(SidecarError):
    """The embedder's reply breaks its contract: a wrong count or dimension, NaN, a zero vector."""

    problem: str
    kind = ErrorKind.INTERNAL

    def __str__(self) -> str:
        return f"the embedder's reply is not usable: {self.problem}"
