"""The bridge's own REST API under `/_plugins/_sidecar/`, shaped like that of a plugin of the cluster.

Every client that the cluster lets in may call it, but not everybody may have texts embedded. The bridge asks the
cluster about an index with the client's own credentials.
"""

import secrets
from collections.abc import Collection
from typing import Final

import orjson
from aiohttp import web
from prometheus_client import REGISTRY
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sidecar import __version__
from sidecar.bridge.bindings.indices import write_target
from sidecar.bridge.bindings.lookup import Bindings
from sidecar.bridge.embed_limits import EmbedLimits, Load
from sidecar.bridge.proxy.body import BodyReader
from sidecar.bridge.proxy.errors import error_body, json_answer
from sidecar.bridge.proxy.identity import Credentials
from sidecar.bridge.proxy.incoming import IncomingRequest
from sidecar.bridge.rights import Rights
from sidecar.bridge.routes import Plugin
from sidecar.errors import InvalidInput, ModelNotFound, SidecarError
from sidecar.model import ModelVersion, Role
from sidecar.ports import Embedder, Embeddings, Lane
from sidecar.provenance import well_formed

_MAX_TEXTS: Final = 1_024
_FORBIDDEN: Final = "security_exception"
_EVERY_INDEX: Final = "_all"
_MAX_ASKED: Final = 16  # of the indices that a client sees, if it names none
# These counters would tell a client which texts others have stored or searched for.
_SECRET: Final = frozenset({"sidecar_bridge_query_vectors", ("sidecar_bridge_ingest_texts", "cached")})


class _EmbedBody(BaseModel):
    """The body of `POST /_plugins/_sidecar/embed`."""

    model_config = ConfigDict(extra="forbid")

    texts: list[str] = Field(min_length=1, max_length=_MAX_TEXTS)
    model: str | None = None  # None: the only model that is loaded
    role: Role = Role.PASSAGE
    index: str | None = None  # a bound index that the client may write. None: any that the client sees


class PluginHandler:
    """Handles `/_plugins/_sidecar/…`."""

    def __init__(
        self,
        bindings: Bindings,
        rights: Rights,
        embedder: Embedder,
        bodies: BodyReader,
        *,
        embed_roles: Collection[str],
        embed_timeout_s: float,
    ) -> None:
        self._bindings = bindings
        self._rights = rights
        self._embed_roles = frozenset(embed_roles)
        self._limits = EmbedLimits()
        self._salt = secrets.token_bytes(32)
        self._embedder = embedder
        self._bodies = bodies
        self._embed_timeout_s = embed_timeout_s

    async def handle(self, request: IncomingRequest, route: Plugin) -> web.StreamResponse:
        """Answer one call of the API. Raises SidecarError."""
        refusal = await self._rights.authorise(request.credentials)
        if refusal is not None:
            return json_answer(refusal.body, status=refusal.status, parameters=request.parameters)
        match request.method, route.parts:
            case "GET", ():
                body: object = await self._state()
            case "GET", ("models",):
                body = {
                    "models": [_describe(served.version, served.backend) for served in await self._embedder.models()]
                }
            case "GET", ("bindings", expression):
                body = await self._describe_bindings(expression, request.credentials)
            case "GET", ("stats",):
                body = _stats()
            case "POST", ("embed",):
                return await self._embed(request)
            case _:
                reason = f"no handler found for uri [{request.target}] and method [{request.method}]"
                refused = error_body(400, "illegal_argument_exception", reason)
                return json_answer(refused, status=400, parameters=request.parameters)
        return json_answer(body, parameters=request.parameters)

    async def _state(self) -> dict[str, object]:
        try:
            models = [served.version.id for served in await self._embedder.models()]
            embedder: dict[str, object] = {"state": "ready", "models": models}
        except SidecarError as error:
            embedder = {"state": "unavailable", "reason": str(error.kind)}
        state = "ready" if embedder["state"] == "ready" else "degraded"
        return {"name": "opensearch-embedding-sidecar", "version": __version__, "state": state, "embedder": embedder}

    async def _describe_bindings(self, expression: str, credentials: Credentials) -> dict[str, object]:
        indices = await self._bindings.of_search(expression, {}, credentials)
        bound = {index.name: index.binding.to_meta() for index in indices if index.binding is not None}
        if not bound:
            written = (await self._bindings.of_write(expression, credentials)).binding
            bound = {expression: written.to_meta()} if written is not None else {}
        return {"bindings": bound}

    async def _embed(self, request: IncomingRequest) -> web.StreamResponse:
        async with self._bodies.read(request) as body:
            try:
                asked = _EmbedBody.model_validate_json(body.decoded or b"")
            except ValidationError as error:
                first = error.errors()[0]
                raise InvalidInput(".".join(str(part) for part in first["loc"]) or "body", first["msg"]) from error
        is_secured = await self._rights.is_secured()
        if is_secured and not await self._may_embed(asked.index, request.credentials):
            refused = error_body(403, _FORBIDDEN, self._advice())
            return json_answer(refused, status=403, parameters=request.parameters)
        version = await self._served(asked.model)
        # Without the security plugin credentials are only words.
        client = request.credentials.digest(self._salt) if is_secured else str(request.peer)
        load = Load(len(asked.texts), sum(min(len(text) + 2, version.max_tokens) for text in asked.texts))
        with self._limits.taken(client, load):
            answer = await self._embedder.embed(
                [well_formed(text) for text in asked.texts],
                asked.role,
                model=version.id,
                expect_space=version.space,
                lane=Lane.BULK,
                timeout_s=self._embed_timeout_s,
            )
        return json_answer(_show(answer, version), parameters=request.parameters)

    async def _may_embed(self, index: str | None, credentials: Credentials) -> bool:
        """Whether a client of a secured cluster may have texts embedded: by its roles, or because it may write."""
        if self._embed_roles:
            return not self._embed_roles.isdisjoint(await self._rights.roles(credentials))
        if index is not None:
            targets = [await self._bindings.of_write(index, credentials)]
        else:
            seen = await self._bindings.of_search(_EVERY_INDEX, {}, credentials)
            targets = [write_target(one.name, one) for one in seen if one.binding is not None][:_MAX_ASKED]
        for target in targets:
            is_bound = target.binding is not None and target.asked_as is not None
            if is_bound and await self._rights.refusal(target, credentials) is None:
                return True
        return False

    def _advice(self) -> str:
        if self._embed_roles:
            return "none of your roles is in [bridge.embed_roles]"
        return (
            "embedding needs the right to write a bound index: name such an index in [index], "
            "or have one of your roles added to [bridge.embed_roles]"
        )

    async def _served(self, model: str | None) -> ModelVersion:
        """The loaded version with this id. A bare name or None is enough if only one loaded version fits.

        Raises InvalidInput if several fit, and ModelNotFound if none does.
        """
        versions = [served.version for served in await self._embedder.models()]
        fitting = [v for v in versions if model is None or model in (v.id, v.id.partition("@")[0])]
        if len(fitting) == 1:
            return fitting[0]
        known = tuple(version.id for version in versions)
        if fitting:
            raise InvalidInput("model", f"several models fit, name one of {', '.join(known)}")
        raise ModelNotFound(model or "", known)


def _describe(version: ModelVersion, backend: str) -> dict[str, object]:
    described = version.model_dump(mode="json", exclude={"weights", "tokenizer"})
    return {**described, "space": version.space, "backend": backend}


def _show(answer: Embeddings, version: ModelVersion) -> dict[str, object]:
    items = []
    for position, item in enumerate(answer.items):
        vector = answer.vector(position)
        # orjson writes the shortest decimals of each float32.
        shown = None if vector is None else orjson.loads(orjson.dumps(vector, option=orjson.OPT_SERIALIZE_NUMPY))
        described = {"vector": shown, "tokens": item.tokens, "truncated": item.truncated}
        items.append(described if item.error is None else {**described, "error": item.error})
    return {
        "model": answer.model,
        "space": answer.space,
        "backend": answer.backend,
        "dimension": version.dimension,
        "items": items,
    }


def _stats() -> dict[str, dict[str, float]]:
    """The counters of this process since its start, by metric and labels. /metrics shows the same counters."""
    stats: dict[str, dict[str, float]] = {}
    for family in REGISTRY.collect():
        if family.name.startswith("sidecar_bridge") and family.type == "counter":
            for sample in family.samples:
                is_secret = family.name in _SECRET or (family.name, *sample.labels.values()) in _SECRET
                if sample.name.endswith("_total") and not is_secret:
                    labels = ",".join(value for value in sample.labels.values() if value)
                    stats.setdefault(family.name.removeprefix("sidecar_bridge_"), {})[labels] = sample.value
    return stats
