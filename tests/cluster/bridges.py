"""A bridge under test between a client and the real node, and an index that is bound."""

from dataclasses import dataclass

from sidecar.model import Binding
from tests.support.http import Http


@dataclass(frozen=True, slots=True)
class Papers:
    """An index bound by a template, reached through the bridge and directly."""

    bridge: Http
    direct: Http
    admin: Http
    index: str
    binding: Binding

    async def stored(self, identifier: str, index: str | None = None) -> dict:
        """The document as the cluster holds it."""
        answer = await self.direct("GET", f"/{index or self.index}/_doc/{identifier}")
        return answer.json["_source"]

    async def without_guard(self) -> None:
        """Switch the index's pipeline off: a cluster writes each document that runs through one anew."""
        answer = await self.direct("PUT", f"/{self.index}/_settings", {"index.final_pipeline": "_none"})
        assert answer.status == 200
