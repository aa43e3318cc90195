"""The shared words: model version, role, space type, binding, provenance. Pure."""

import re
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from sidecar.errors import InvalidInput
from sidecar.jsontext import Json, value_digest

SCHEMA: Final = 2  # of bindings and provenances; docs/adr/0006
_SPACE_SCHEMA: Final = 1

MODEL_VERSION_ID: Final = re.compile(r"[a-z0-9][a-z0-9._-]*@[1-9][0-9]*")


class Role(StrEnum):
    """The purpose of a text, which decides on its prompt."""

    PASSAGE = "passage"
    QUERY = "query"


class SpaceType(StrEnum):
    """How OpenSearch compares two vectors of a field."""

    L2 = "l2"
    COSINESIMIL = "cosinesimil"
    INNERPRODUCT = "innerproduct"


class Engine(StrEnum):
    """The k-NN engine of a field."""

    LUCENE = "lucene"
    FAISS = "faiss"


class State(StrEnum):
    """The state of the vector beside a provenance."""

    OK = "ok"  # it was computed from the text with this hash
    PENDING = "pending"  # there is a text but no vector for it yet
    CLIENT = "client"  # the client sent its own vector


class _Document(BaseModel):
    """A stored JSON document. It is frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Prompts(_Document):
    """The prompts that are put in front of a text, by role."""

    passage: str = ""
    query: str = ""

    def of(self, role: Role) -> str:
        return self.passage if role is Role.PASSAGE else self.query


class ModelVersion(_Document):
    """All that makes vectors comparable, under an id that never changes meaning (`version.json`)."""

    id: Annotated[str, Field(pattern=f"^{MODEL_VERSION_ID.pattern}$")]
    description: str = ""
    weights: dict[str, str]  # every fp32 weight file, relative to the model's folder -> sha256 (hex)
    tokenizer: str  # sha256 of tokenizer.json in canonical JSON, without `truncation` and `padding`
    pooling: Literal["mean", "cls", "max", "lasttoken"]
    prompts: Prompts = Prompts()
    max_tokens: Annotated[int, Field(gt=0)]
    normalized: bool
    dimension: Annotated[int, Field(ge=1, le=16_000)]  # 16,000: k-NN's limit for every engine
    reduction: dict[str, Any] | None = None  # PCA or Matryoshka. None: as the model gives it
    calibration: dict[str, Any] | None = None  # of byte and binary vectors
    element_type: Literal["float32", "byte", "binary"] = "float32"
    space_type: SpaceType = SpaceType.COSINESIMIL  # used for bindings, and not part of the space

    @property
    def space(self) -> str:
        """The space fingerprint: "sha256:" and the hash of everything that changes the numbers."""
        parts = {
            "schema": _SPACE_SCHEMA,
            "weights": self.weights,
            "tokenizer": self.tokenizer,
            "pooling": self.pooling,
            "prompts": self.prompts.model_dump(),
            "max_tokens": self.max_tokens,
            "normalized": self.normalized,
            "dimension": self.dimension,
            "reduction": self.reduction,
            "calibration": self.calibration,
            "element_type": self.element_type,
        }
        return "sha256:" + value_digest(parts)


class WritePolicy(_Document):
    """The treatment of a document whose vector cannot be computed, or that brings its own vector."""

    on_failure: Literal["pending", "reject"] = "pending"
    client_vector: Literal["keep", "replace", "reject"] = "keep"


class Binding(_Document):
    """One vector field: which texts it embeds, with which model version (`_meta.sidecar.fields.F`)."""

    field: str
    model: str
    space: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
    dimension: int
    space_type: SpaceType
    source: Annotated[tuple[str, ...], Field(min_length=1)]
    join: Annotated[str, Field(min_length=1)] = "\n"
    chunking: dict[str, Any] | None = None
    write: WritePolicy = WritePolicy()

    @property
    def meta_field(self) -> str:
        """The field that holds the provenance of the vector."""
        return f"{self.field}_meta"

    @property
    def pending_field(self) -> str:
        """The field that a query finds documents by whose text waits for its vector."""
        return f"{self.meta_field}.pending"

    @property
    def client_field(self) -> str:
        """The field that a query finds documents by whose vector a client has brought."""
        return f"{self.meta_field}.client"


class Fusion(_Document):
    """How the scores of the two legs become one."""

    technique: Literal["min_max", "l2", "z_score", "rrf"] = "min_max"
    combination: Literal["arithmetic_mean", "geometric_mean", "harmonic_mean"] = "arithmetic_mean"
    weights: tuple[float, float] = (0.5, 0.5)  # lexical, semantic

    @field_validator("weights")
    @classmethod
    def _weights_sum_to_one(cls, weights: tuple[float, float]) -> tuple[float, float]:
        # The normalization-processor's own rule, written so that it refuses NaN, too.
        if not (all(weight >= 0 for weight in weights) and abs(sum(weights) - 1) <= 1e-6):
            raise ValueError("weights must not be negative and must add up to 1")
        return weights

    @model_validator(mode="after")
    def _is_known_to_the_cluster(self) -> Self:
        if self.technique in ("z_score", "rrf") and self.combination != "arithmetic_mean":
            raise ValueError(f"{self.technique} goes with arithmetic_mean only")
        if self.technique == "rrf" and self.weights != (0.5, 0.5):
            raise ValueError("rrf weighs both legs alike")
        return self


class SearchBinding(_Document):
    """How plain text queries on the index are answered (`_meta.sidecar.search`)."""

    field: str
    mode: Literal["hybrid", "semantic", "lexical"] = "hybrid"
    window: Annotated[int, Field(ge=1, le=10_000)] = 100
    k: Annotated[int, Field(ge=1, le=10_000)] = 100
    fusion: Fusion = Fusion()
    where: Literal["auto", "cluster", "bridge"] = "auto"
    on_failure: Literal["lexical", "error"] = "lexical"
    companion: str | None = None  # an empty index that is searched beside an index of one shard


class IndexBinding(_Document):
    """The bindings of an index, from `_meta.sidecar` in its mapping."""

    fields: dict[str, Binding]
    search: SearchBinding | None = None

    @model_validator(mode="after")
    def _search_field_is_bound(self) -> Self:
        if self.search is not None and self.search.field not in self.fields:
            raise ValueError(f"search.field [{self.search.field}] is not one of the bound fields")
        return self

    @classmethod
    def from_meta(cls, meta: Json) -> Self | None:
        """Parse a mapping's `_meta`. None if it holds no binding, or a binding of an unknown schema.

        Raises InvalidInput if the schema is known and the rest is not valid.
        """
        block = meta.get("sidecar") if isinstance(meta, dict) else None
        if not isinstance(block, dict) or block.get("schema") != SCHEMA:
            return None
        fields = block.get("fields")
        if not isinstance(fields, dict):
            raise InvalidInput("_meta.sidecar.fields", f"must be an object, not [{fields!r}]")
        try:
            return cls.model_validate(
                {
                    "fields": {
                        name: {"field": name, **body} if isinstance(body, dict) else body
                        for name, body in fields.items()
                    },
                    "search": block.get("search"),
                }
            )
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(["_meta.sidecar", *(str(part) for part in first["loc"])])
            raise InvalidInput(where, first["msg"]) from error

    def to_meta(self) -> dict[str, Json]:
        """The `sidecar` block of a mapping's `_meta`."""
        fields: dict[str, Json] = {
            name: body.model_dump(mode="json", exclude={"field"}) for name, body in self.fields.items()
        }
        block: dict[str, Json] = {"schema": SCHEMA, "fields": fields}
        if self.search is not None:
            block["search"] = self.search.model_dump(mode="json")
        return block


class Provenance(_Document):
    """The meaning of `F_meta`, beside the vector of field F.

    A document holds it in a form that no query over all fields can match: `hash` and `about` are not indexed, and
    `pending` and `client` are rank features, which only a query by their name finds.
    """

    hash: str | None
    state: State
    model: str | None = None
    backend: str | None = None
    truncated: bool | None = None

    def to_source(self) -> dict[str, Json]:
        """The provenance as it is written into a document. Unknown values are left out."""
        about = {"model": self.model, "backend": self.backend, "truncated": self.truncated}
        known: dict[str, Json] = {name: value for name, value in about.items() if value is not None}
        whole = {"hash": self.hash, **_MARKS[self.state], "about": known or None}
        return {name: value for name, value in whole.items() if value is not None}

    def to_update(self) -> dict[str, Json]:
        """The provenance with all members. An update merges objects, and no member of an old one may stay."""
        about: dict[str, Json] | None = None
        if self.state is State.OK:
            about = {"model": self.model, "backend": self.backend, "truncated": self.truncated}
        return {"hash": self.hash, "pending": None, "client": None, **_MARKS[self.state], "about": about}

    @staticmethod
    def state_in(meta: Json) -> State | None:
        """The state that the value of `F_meta` in a document tells. None if it tells none."""
        if not isinstance(meta, dict):
            return None
        if meta.get("pending") is not None:
            return State.PENDING
        if meta.get("client") is not None:
            return State.CLIENT
        return State.OK if isinstance(meta.get("about"), dict) else None


_MARKS: Final[dict[State, dict[str, Json]]] = {State.OK: {}, State.PENDING: {"pending": 1}, State.CLIENT: {"client": 1}}
