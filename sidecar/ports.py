"""Every seam on one page: the things that the rooms need from outside. Implemented in `rpc` and `opensearch`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from sidecar.errors import ClusterRefused
from sidecar.jsontext import Json
from sidecar.model import ModelVersion, Role

if TYPE_CHECKING:  # every command imports this page, few need numpy
    import numpy as np
    from numpy.typing import NDArray


class Lane(StrEnum):
    """Who waits for a vector: a person (INTERACTIVE) or a load (BULK)."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


@dataclass(frozen=True, slots=True)
class EmbeddedText:
    """The result for one text."""

    row: int  # of `Embeddings.matrix`. -1 if there is no vector
    tokens: int = 0
    tokens_dropped: int = 0
    truncated: bool = False
    cached: bool = False
    deduplicated: bool = False
    error: str | None = None  # why there is no vector


@dataclass(frozen=True, slots=True)
class Embeddings:
    """The answer to `Embedder.embed`: one item per text, in order."""

    model: str
    space: str
    backend: str
    matrix: "NDArray[np.float32]"  # rows x dimension
    items: tuple[EmbeddedText, ...]

    def vector(self, position: int) -> "NDArray[np.float32] | None":
        """The dense vector of the text at this position, or None if it has none."""
        row = self.items[position].row
        return None if row < 0 else self.matrix[row]


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model version that an embedding server has loaded, and its back end there."""

    version: ModelVersion
    backend: str
    full_text_s: float = 0.0  # to compute one text of full length, at the self-test. 0: it is not known


class Embedder(Protocol):
    """Turns texts into dense vectors."""

    async def embed(
        self, texts: Sequence[str], role: Role, *, model: str, expect_space: str = "", lane: Lane, timeout_s: float
    ) -> Embeddings:
        """One vector or one error per text, in order.

        Raises ModelNotFound, SpaceMismatch, InvalidInput, EmbedderOverloaded, EmbedderUnavailable, DeadlineExceeded,
        EmbedderMisbehaved.
        """
        ...

    async def models(self) -> tuple[ServedModel, ...]:
        """The model versions that are loaded. Raises as `embed`."""
        ...


class Space(NamedTuple):  # made, hashed and compared for every document: cheaper than a dataclass
    """A model version and its fingerprint. Texts of one space are embedded together."""

    model: str
    fingerprint: str


async def embed_passages(embedder: Embedder, texts: Sequence[str], space: Space, *, timeout_s: float) -> Embeddings:
    """Embed texts of documents, to be stored among vectors of this space. Raises as `Embedder.embed`."""
    return await embedder.embed(
        texts,
        Role.PASSAGE,
        model=space.model,
        expect_space=space.fingerprint,
        lane=Lane.BULK,
        timeout_s=timeout_s,
    )


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the cluster, with any status."""

    status: int
    body: Json
    size: int = 0  # bytes of the body. 0: unknown

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def reason(self) -> str:
        """The cluster's own words for an error."""
        error = self.body.get("error") if isinstance(self.body, dict) else None
        if isinstance(error, dict):
            return f"{error.get('type')}: {error.get('reason')}"
        return str(error if error is not None else self.body)

    def require(self, call: str) -> Any:
        """The body of an answer that the caller needs. Raises ClusterRefused, which names the `call`."""
        if not self.ok:
            raise ClusterRefused(call, self.status, self.reason)
        return self.body


class Cluster(Protocol):
    """The OpenSearch calls that we make ourselves (a client's own requests are forwarded, not made again)."""

    async def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: "Json | bytes" = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send one request, never twice. `path` is already percent-encoded.

        An error status is a reply. Raises ClusterUnreachable if there is no answer.
        """
        ...
