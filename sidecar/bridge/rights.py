"""Asks the cluster whether a client may write, before texts are embedded for him. The questions change nothing.

A question is a write of the same kind as the client's, with the client's own credentials: of a document with a random
id, on a condition that no document fulfils. A permission is remembered for a minute. A refusal is not: the client's
write is then sent without vectors, and the cluster itself refuses it.
"""

import secrets
import uuid
from enum import Enum, auto
from typing import Final
from urllib.parse import quote

from cachetools import TTLCache

from sidecar.bridge.bindings.indices import WriteTarget
from sidecar.bridge.proxy.identity import Credentials
from sidecar.jsontext import Json, at, dumps
from sidecar.ports import Cluster, Reply

_MAX_REMEMBERED: Final = 16_384
_REMEMBER_S: Final = 60.0
_AUTHINFO: Final = "/_plugins/_security/authinfo"
_NO_PLUGIN: Final = "no handler found for uri"
_IMPOSSIBLE: Final[dict[str, Json]] = {"if_seq_no": 9_007_199_254_740_991, "if_primary_term": 999_999_999}
_REFUSED: Final = "security_exception"
_NOT_READ: Final = "contains unrecognized parameter"  # the cluster says so before it looks at rights


class Verdict(Enum):
    """The meaning of an answer to a question."""

    MAY = auto()
    MAY_NOT = auto()
    UNKNOWN = auto()  # the cluster could not say


class Rights:
    """The rights of clients, as the cluster states them."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._salt = secrets.token_bytes(32)
        self._granted: TTLCache[tuple[str, str, bool, bool], bool] = TTLCache(_MAX_REMEMBERED, _REMEMBER_S)
        self._welcome: TTLCache[str, bool] = TTLCache(_MAX_REMEMBERED, _REMEMBER_S)
        self._is_secured: TTLCache[str, bool] = TTLCache(1, _REMEMBER_S)

    async def is_secured(self) -> bool:
        """Whether the cluster has the security plugin. If not, everybody may do everything.

        The question carries nothing of a client. Raises ClusterUnreachable.
        """
        known = self._is_secured.get(_AUTHINFO)
        if known is None:
            reply = await self._cluster.call("GET", _AUTHINFO)
            known = not (reply.status == 400 and reply.reason.startswith(_NO_PLUGIN))
            if reply.status < 500:
                self._is_secured[_AUTHINFO] = known
        return known

    async def authorise(self, credentials: Credentials) -> Reply | None:
        """Ask whether the cluster lets these credentials in. Gives None if it does, else its refusal.

        The security plugin tells everybody who he is. `GET /` would need a right. Raises ClusterUnreachable.
        """
        digest = credentials.digest(self._salt)
        if digest not in self._welcome:
            path = _AUTHINFO if await self.is_secured() else "/"
            reply = await self._cluster.call("GET", path, params=credentials.parameters, headers=credentials.headers)
            if not reply.ok:
                return reply
            self._welcome[digest] = True
        return None

    async def refusal(
        self, target: WriteTarget, credentials: Credentials, *, is_update: bool = False, in_bulk: bool = False
    ) -> Reply | None:
        """The cluster's refusal of a write by this client. None if the client may write.

        An index that does not exist is not asked for, because a bulk would create it. Raises ClusterUnreachable.
        """
        if target.asked_as is None or not await self.is_secured():
            return None
        in_bulk = in_bulk or is_update  # the cluster carries out a single update as a bulk, with the rights for that
        key = (credentials.digest(self._salt), target.asked_as, is_update, in_bulk)
        if key in self._granted:
            return None
        reply = await self._ask(target.asked_as, target.routing, credentials, is_update=is_update, in_bulk=in_bulk)
        found = verdict(reply)
        if found is Verdict.MAY:
            self._granted[key] = True
        return reply if found is Verdict.MAY_NOT else None

    async def roles(self, credentials: Credentials) -> frozenset[str]:
        """The roles that a client has in the security plugin. Raises ClusterUnreachable."""
        reply = await self._cluster.call("GET", _AUTHINFO, params=credentials.parameters, headers=credentials.headers)
        named = at(reply.body, "roles") if reply.ok else None
        return frozenset(role for role in named if isinstance(role, str)) if isinstance(named, list) else frozenset()

    async def _ask(
        self, index: str, routing: str | None, credentials: Credentials, *, is_update: bool, in_bulk: bool
    ) -> Reply:
        identifier = uuid.uuid4().hex
        # Where routing is required, or belongs to an alias, the cluster would refuse another before it looks at rights.
        # A pipeline that fails would hide the answer.
        params = {"routing": routing or identifier, "pipeline": "_none", "timeout": "1s", **credentials.parameters}
        path = f"/{quote(index, safe='')}"
        if in_bulk:
            lines: tuple[Json, Json] = ({"index": {"_id": identifier, **_IMPOSSIBLE}}, {})
            if is_update:
                lines = ({"update": {"_id": identifier, **_IMPOSSIBLE}}, {"doc": {}})
            body = b"".join(dumps(line) + b"\n" for line in lines)
            return await self._cluster.call(
                "POST", f"{path}/_bulk", params=params, body=body, headers=credentials.headers
            )
        params |= {name: str(value) for name, value in _IMPOSSIBLE.items()}
        return await self._cluster.call(
            "PUT", f"{path}/_doc/{identifier}", params=params, body={}, headers=credentials.headers
        )


def verdict(reply: Reply) -> Verdict:
    """Read the answer to a question.

    Only a refusal by the security plugin means no right. A blocked index, for example, is no matter of rights. A
    question that was not put, because it has a parameter of the client that the cluster does not know, gives no right
    either: the cluster will refuse the client's own request for the same reason.
    """
    if reply.status == 400 and _NOT_READ in reply.reason:
        return Verdict.MAY_NOT
    answers = [(reply.status, at(reply.body, "error", "type"))]
    items = at(reply.body, "items")
    for item in items if isinstance(items, list) else []:
        for outcome in item.values() if isinstance(item, dict) else []:
            status = at(outcome, "status")
            answers.append((status if isinstance(status, int) else 500, at(outcome, "error", "type")))
    if any(status == 401 or error == _REFUSED for status, error in answers):
        return Verdict.MAY_NOT
    return Verdict.UNKNOWN if any(status == 429 or status >= 500 for status, _ in answers) else Verdict.MAY
