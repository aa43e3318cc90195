"""A search as a client sends it, with what the bridge says about it. `demo` and `eval` show and check that."""

from dataclasses import dataclass
from typing import Any

import aiohttp

from sidecar.errors import ClusterUnreachable
from sidecar.jsontext import Json
from sidecar.ports import Reply


@dataclass(frozen=True, slots=True)
class FoundHits:
    """The hits, best first, and the mode of the search, which is "" without a bridge."""

    hits: list[dict[str, Any]]
    mode: str
    reason: str  # why the bridge chose this mode, "" if it gave no reason


async def search(session: aiohttp.ClientSession, url: str, index: str, body: Json, *, mode: str = "") -> FoundHits:
    """Search an index at a cluster or a bridge. `mode` is the mode that the bridge is asked for.

    Raises ClusterRefused, ClusterUnreachable.
    """
    headers = {"X-Sidecar-Mode": mode} if mode else {}
    try:
        async with session.post(f"{url}/{index}/_search", json=body, headers=headers) as response:
            answer: Any = await response.json(content_type=None)
            done = response.headers.get("X-Sidecar-Search", "")
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise ClusterUnreachable(url, str(error) or type(error).__name__) from error
    hits = Reply(response.status, answer).require(f"a search of {index}")["hits"]["hits"]
    name, _, details = done.partition(";")
    parts = dict(part.strip().partition("=")[::2] for part in details.split(";"))
    return FoundHits(hits, name, parts.get("reason", ""))
