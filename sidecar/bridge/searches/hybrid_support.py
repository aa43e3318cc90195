"""Finds out where the cluster refuses `hybrid` searches, with searches of its own, and remembers it for a while.

The answer to a client's search may quote the client, so nobody could tell the cluster's words from those of a client.
Such an answer only hints that it is time to ask.
"""

import secrets
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from cachetools import TTLCache

from sidecar.bridge.bindings.indices import BoundIndex
from sidecar.bridge.proxy.identity import Credentials
from sidecar.jsontext import Json, at
from sidecar.ports import Cluster, Reply

UNKNOWN: Final = "unknown query [hybrid]"  # the cluster has no neural-search
# Document-level security puts every query of a user into a `bool`. So this refusal concerns only these credentials and
# these indices.
WRAPPED: Final = "hybrid query must be a top level query"

_PROBE: Final[Json] = {"size": 0, "query": {"hybrid": {"queries": [{"match_none": {}}]}}}
# Without its default pipeline, which could fail for reasons of its own. Without the cache of requests, which a client
# without document-level security may have filled.
_PARAMETERS: Final = {
    "search_pipeline": "_none",
    "request_cache": "false",
    "allow_partial_search_results": "false",
}
_MAX_CHARACTERS: Final = 2_048  # of the names of the indices, because a node refuses a longer request line than 4 KB
_MAX_REMEMBERED: Final = 4_096
_UNKNOWN_S: Final = 300.0
_WRAPPED_S: Final = 60.0


class HybridSupport:
    """The answers of the cluster about `hybrid` searches of everybody and of single clients."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._salt = secrets.token_bytes(32)
        self._unknown: TTLCache[str, bool] = TTLCache(1, _UNKNOWN_S)
        self._wrapped: TTLCache[tuple[str, str], bool] = TTLCache(_MAX_REMEMBERED, _WRAPPED_S)

    def is_refused(self, indices: Sequence[BoundIndex], credentials: Credentials) -> bool:
        """Whether the cluster is known to refuse these credentials a `hybrid` search of these indices."""
        return UNKNOWN in self._unknown or self._wrapped.get(self._key(indices, credentials), False)

    async def ask(self, indices: Sequence[BoundIndex], credentials: Credentials) -> None:
        """Ask the cluster whether it refuses such a search, unless it was asked a moment ago.

        Raises ClusterUnreachable.
        """
        key = self._key(indices, credentials)
        if UNKNOWN in self._unknown or key in self._wrapped or not 0 < len(key[1]) <= _MAX_CHARACTERS:
            return
        reply = await self._cluster.call(
            "POST",
            f"/{quote(key[1], safe=',')}/_search",
            params={**_PARAMETERS, **credentials.parameters},
            body=_PROBE,
            headers=credentials.headers,
        )
        if _is(reply, "parsing_exception", UNKNOWN):
            self._unknown[UNKNOWN] = True
        elif reply.ok or reply.status == 400:
            self._wrapped[key] = _is(reply, "illegal_argument_exception", WRAPPED)

    def _key(self, indices: Sequence[BoundIndex], credentials: Credentials) -> tuple[str, str]:
        return credentials.digest(self._salt), ",".join(sorted(index.name for index in indices))


def _is(reply: Reply, error_type: str, reason: str) -> bool:
    """Whether a refusal has this cause. Credentials can be quoted in a refusal, too, but never as such a cause."""
    causes = at(reply.body, "error", "root_cause")
    return reply.status == 400 and any(
        at(cause, "type") == error_type and str(at(cause, "reason")).startswith(reason)
        for cause in (causes if isinstance(causes, list) else [])
    )
