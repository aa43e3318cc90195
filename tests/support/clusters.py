"""A cluster that answers what a test has written down, without any node."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sidecar.errors import ClusterUnreachable
from sidecar.jsontext import Json
from sidecar.ports import Reply


@dataclass
class WrittenCluster:
    """Implements `Cluster`: replies by method and path; None is no answer. `otherwise` answers all else."""

    replies: dict[str, Reply | None] = field(default_factory=dict)
    otherwise: Reply = field(default_factory=lambda: Reply(404, {"error": "not written down", "status": 404}))
    asked: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)  # what, and with which headers
    bodies: list[Json | bytes] = field(default_factory=list)
    parameters: list[Mapping[str, str]] = field(default_factory=list)

    async def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Json | bytes = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        self.asked.append((f"{method} {path}", headers or {}))
        self.bodies.append(body)
        self.parameters.append(params or {})
        reply = self.replies.get(f"{method} {path}", self.otherwise)
        if reply is None:
            raise ClusterUnreachable("http://cluster", "refused")
        return reply
