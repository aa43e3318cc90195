"""Asks the cluster for bindings with the client's own credentials, and remembers the answers for a few seconds."""

import secrets
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from cachetools import TTLCache

from sidecar.bridge.bindings.indices import (
    BoundIndex,
    WriteTarget,
    read_indices,
    read_simulated,
    searches_for_own_vectors,
    with_own_vectors,
    write_index,
    write_target,
)
from sidecar.bridge.proxy.identity import Credentials
from sidecar.errors import InvalidInput
from sidecar.jsontext import Json
from sidecar.ports import Cluster, Reply
from sidecar.telemetry import logger
from sidecar.threads import WEIGHT_OF_JSON, off_the_loop

_log = logger("bridge")

_MAX_REMEMBERED: Final = 4_096
_WANTED: Final = (
    "*.aliases.*.index_routing,*.aliases.*.is_write_index,*.data_stream,*.mappings,*.settings.index.default_pipeline,"
    "*.settings.index.max_result_window,*.settings.index.number_of_shards,*.settings.index.query.default_field,"
    "*.settings.index.search.default_pipeline,error,status"
)
_FORBIDDEN: Final = 403
_NOTHING: Final[Json] = {"size": 0, "query": {"match_none": {}}}
_RESOLUTION: Final = ("allow_no_indices", "expand_wildcards", "ignore_unavailable")


class Bindings:
    """Looks up bindings with the client's own credentials.

    So no vector is computed for a client that the cluster would turn away. Nor does such a client learn of an index.
    """

    def __init__(self, cluster: Cluster, ttl_s: float) -> None:
        self._cluster = cluster
        self._salt = secrets.token_bytes(32)
        self._indices: TTLCache[tuple[str, ...], tuple[BoundIndex, ...]] = TTLCache(_MAX_REMEMBERED, ttl_s)
        self._hidden: TTLCache[tuple[str, ...], bool] = TTLCache(_MAX_REMEMBERED, ttl_s)
        self._own_vectors: TTLCache[tuple[str, ...], Mapping[str, Json]] = TTLCache(_MAX_REMEMBERED, ttl_s)
        self._targets: TTLCache[tuple[str, ...], WriteTarget] = TTLCache(_MAX_REMEMBERED, ttl_s)
        self._pipelines: TTLCache[tuple[str, str], tuple[Json]] = TTLCache(_MAX_REMEMBERED, ttl_s)
        self._changes = 0  # an answer to a request from before a change is not remembered

    def forget(self) -> None:
        """Forget the bindings and pipelines, because mappings, templates, aliases or indices have changed."""
        self._changes += 1
        self._indices.clear()
        self._hidden.clear()
        self._own_vectors.clear()
        self._targets.clear()
        self._pipelines.clear()

    async def of_search(
        self, expression: str, parameters: Mapping[str, str], credentials: Credentials
    ) -> tuple[BoundIndex, ...]:
        """The indices that match an expression. () if there are none, or if the client may not see them.

        Raises ClusterUnreachable.
        """
        key = self._key(expression, parameters, credentials)
        found = self._indices.get(key)
        if found is None:
            changes = self._changes
            reply = await self._get(expression, _resolution(parameters), credentials)
            found = await off_the_loop(WEIGHT_OF_JSON * reply.size, _read, expression, reply) if reply.ok else ()
            if changes == self._changes:
                self._indices[key] = found
                if reply.status == _FORBIDDEN:
                    self._hidden[key] = True
        return found

    async def of_read(
        self, expression: str, parameters: Mapping[str, str], credentials: Credentials
    ) -> tuple[BoundIndex, ...]:
        """The same, and they know whether a client has stored vectors of its own. Raises ClusterUnreachable."""
        indices = await self.of_search(expression, parameters, credentials)
        searches = searches_for_own_vectors(indices)
        if not searches:
            return indices
        key = self._key(expression, parameters, credentials)
        found = self._own_vectors.get(key)
        if found is None:
            changes = self._changes
            path, params = f"{_path(expression)}/_search", _resolution(parameters)
            found = {}
            for field, search in searches.items():
                reply = await self._call("POST", path, credentials, params, body=search)
                found[field] = reply.body if reply.ok else None
            if changes == self._changes:
                self._own_vectors[key] = found
        return with_own_vectors(indices, found)

    def hides(self, expression: str, parameters: Mapping[str, str], credentials: Credentials) -> bool:
        """Whether the cluster has refused to show these credentials the indices of an expression."""
        return self._key(expression, parameters, credentials) in self._hidden

    async def check(self, index: str, credentials: Credentials) -> None:
        """Ask whether the cluster lets these credentials search an index. If not, treat it as absent for a while.

        The search is one of ours. That a search of a client has failed says nothing about the index. Raises
        ClusterUnreachable.
        """
        path = f"/{_quoted(index)}/_search"
        reply = await self._call("POST", path, credentials, {"search_pipeline": "_none"}, body=_NOTHING)
        if not reply.ok:
            self._indices[self._key(index, {}, credentials)] = ()

    async def search_pipeline(self, name: str, credentials: Credentials) -> Json:
        """The definition of a search pipeline. None if there is none, or if the client may not read it.

        Raises ClusterUnreachable.
        """
        return await self._definition(f"/_search/pipeline/{_quoted(name)}", name, credentials)

    async def ingest_pipeline(self, name: str, credentials: Credentials) -> Json:
        """The definition of an ingest pipeline. For None and errors see `search_pipeline`."""
        return await self._definition(f"/_ingest/pipeline/{_quoted(name)}", name, credentials)

    async def stored_script(self, identifier: str, credentials: Credentials) -> Json:
        """A stored script. For None and errors see `search_pipeline`."""
        return await self._definition(f"/_scripts/{_quoted(identifier)}", "script", credentials)

    async def _definition(self, path: str, member: str, credentials: Credentials) -> Json:
        key = (credentials.digest(self._salt), path)
        found = self._pipelines.get(key)
        if found is None:
            changes = self._changes
            reply = await self._call("GET", path, credentials)
            found = (reply.body.get(member) if reply.ok and isinstance(reply.body, dict) else None,)
            if changes == self._changes:
                self._pipelines[key] = found
        return found[0]

    async def of_write(self, name: str, credentials: Credentials) -> WriteTarget:
        """The index that a write to `name` goes to, or that a template would create for it, with its binding.

        Raises ClusterUnreachable.
        """
        if not name:  # the cluster refuses such an operation
            return WriteTarget(name)
        key = (credentials.digest(self._salt), name)
        found = self._targets.get(key)
        if found is None:
            changes = self._changes
            found = await self._look_up_write(name, credentials)
            if changes == self._changes:
                self._targets[key] = found
        return found

    async def _look_up_write(self, name: str, credentials: Credentials) -> WriteTarget:
        reply = await self._get(name, {}, credentials)
        if reply.ok:
            found = write_index(name, await off_the_loop(WEIGHT_OF_JSON * reply.size, _read, name, reply))
        elif reply.status == 404:
            found = await self._look_up_template(_resolved(name, reply), credentials)
        else:
            found = None
        return write_target(name, found, exists=reply.ok)

    async def _look_up_template(self, name: str, credentials: Credentials) -> BoundIndex | None:
        reply = await self._call("POST", f"/_index_template/_simulate_index/{_quoted(name)}", credentials)
        return read_simulated(name, reply.body) if reply.ok else None

    async def _get(self, expression: str, resolution: Mapping[str, str], credentials: Credentials) -> Reply:
        return await self._call("GET", _path(expression), credentials, {**resolution, "filter_path": _WANTED})

    async def _call(
        self,
        method: str,
        path: str,
        credentials: Credentials,
        parameters: Mapping[str, str] | None = None,
        body: Json = None,
    ) -> Reply:
        params = {**(parameters or {}), **credentials.parameters}
        return await self._cluster.call(method, path, params=params, body=body, headers=credentials.headers)

    def _key(self, expression: str, parameters: Mapping[str, str], credentials: Credentials) -> tuple[str, ...]:
        resolution = (f"{name}={value}" for name, value in _resolution(parameters).items())
        return (credentials.digest(self._salt), expression, *resolution)


def _path(expression: str) -> str:
    # A comma separates names. The encoding keeps everything else that OpenSearch reads in an expression.
    return "/" + _quoted(expression, safe=",*")


def _resolution(parameters: Mapping[str, str]) -> dict[str, str]:
    return {name: parameters[name] for name in _RESOLUTION if name in parameters}


def _quoted(name: str, safe: str = "") -> str:
    """Encode a name for a path. A lone surrogate, which no name has, becomes "?" as in the cluster."""
    return quote(name, safe=safe, errors="replace")


def _read(expression: str, reply: Reply) -> tuple[BoundIndex, ...]:
    try:
        return read_indices(reply.body)
    except InvalidInput as error:
        _log.warning("a binding is not valid", action="binding_invalid", expression=expression, error=str(error))
        return ()


def _resolved(name: str, reply: Reply) -> str:
    """The name that the cluster looked for. The cluster has resolved date math in it."""
    error = reply.body.get("error") if isinstance(reply.body, dict) else None
    resolved = error.get("index") if isinstance(error, dict) else None
    return resolved if isinstance(resolved, str) else name
