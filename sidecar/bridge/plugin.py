"""The bridge's own REST API under `/_plugins/_sidecar/`, shaped like that of a plugin of the cluster.

Every client that the cluster lets in may call it. The bridge asks the cluster about an index with the client's own
credentials.
"""

from typing import Final

import orjson
from aiohttp import web
from prometheus_client import REGISTRY
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sidecar import __version__
from sidecar.bridge.bindings.lookup import Bindings
from sidecar.bridge.proxy.body import BodyReader
from sidecar.bridge.proxy.errors import error_body, json_answer
from sidecar.bridge.proxy.incoming import Credentials, IncomingRequest
from sidecar.bridge.routes import Plugin
from sidecar.errors import InvalidInput, ModelNotFound, SidecarError
from sidecar.model import ModelVersion, Role
from sidecar.ports import Embedder, Lane
from sidecar.provenance import well_formed

_MAX_TEXTS: Final = 1_024
# These counters would tell a client which texts others have stored or searched for.
_SECRET: Final = frozenset({"sidecar_bridge_query_vectors", ("sidecar_bridge_ingest_texts", "cached")})


class _EmbedBody(BaseModel):
    """The body of `POST /_plugins/_sidecar/embed`."""

    model_config = ConfigDict(extra="forbid")

    texts: list[str] = Field(min_length=1, max_length=_MAX_TEXTS)
    model: str | None = None  # None: the only model that is loaded
    role: Role = Role.PASSAGE


class PluginHandler:
    """Handles `/_plugins/_sidecar/…`."""

    def __init__(self, bindings: Bindings, embedder: Embedder, bodies: BodyReader, *, embed_timeout_s: float) -> None:
        self._bindings = bindings
        self._embedder = embedder
        self._bodies = bodies
        self._embed_timeout_s = embed_timeout_s

    async def handle(self, request: IncomingRequest, route: Plugin) -> web.StreamResponse:
        """Answer one call of the API. Raises SidecarError."""
        refusal = await self._bindings.authorise(request.credentials)
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
                body = await self._embed(request)
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

    async def _embed(self, request: IncomingRequest) -> dict[str, object]:
        async with self._bodies.read(request) as body:
            try:
                asked = _EmbedBody.model_validate_json(body.decoded or b"")
            except ValidationError as error:
                first = error.errors()[0]
                raise InvalidInput(".".join(str(part) for part in first["loc"]) or "body", first["msg"]) from error
        version = await self._served(asked.model)
        answer = await self._embedder.embed(
            [well_formed(text) for text in asked.texts],
            asked.role,
            model=version.id,
            expect_space=version.space,
            lane=Lane.INTERACTIVE,
            timeout_s=self._embed_timeout_s,
        )
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
