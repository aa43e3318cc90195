"""A search as a client sends it, and what it reads from the answer of a bridge."""

from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from sidecar.errors import ClusterRefused, ClusterUnreachable
from sidecar.evaluation.search import FoundHits, search

HITS = {"hits": {"hits": [{"_id": "1"}]}}


class Session:
    """Gives one answer, or raises."""

    def __init__(self, status: int, body: object, note: str = "", error: Exception | None = None) -> None:
        self.asked: dict[str, Any] = {}
        self._status, self._body, self._note, self._error = status, body, note, error

    @asynccontextmanager
    async def post(self, url: str, *, json: object, headers: dict[str, str]):
        self.asked = {"url": url, "json": json, "headers": headers}
        if self._error is not None:
            raise self._error

        async def body(content_type: None) -> object:
            return self._body

        headers = {"X-Sidecar-Search": self._note} if self._note else {}
        yield SimpleNamespace(status=self._status, headers=headers, json=body)


@pytest.mark.parametrize(
    ("note", "mode", "reason"),
    [
        ("", "", ""),
        ("hybrid", "hybrid", ""),
        ("lexical;reason=sort", "lexical", "sort"),
        ("hybrid; fusion=bridge; reason=aggregations", "hybrid", "aggregations"),
    ],
)
async def test_the_note_of_the_bridge_is_read(note: str, mode: str, reason: str) -> None:
    assert await search(Session(200, HITS, note), "http://b", "papers", {}) == FoundHits([{"_id": "1"}], mode, reason)


async def test_a_mode_is_asked_for() -> None:
    session = Session(200, HITS)
    await search(session, "http://b", "papers", {"size": 1}, mode="semantic")

    assert session.asked == {
        "url": "http://b/papers/_search",
        "json": {"size": 1},
        "headers": {"X-Sidecar-Mode": "semantic"},
    }


async def test_a_refusal_and_no_answer_are_two_errors() -> None:
    with pytest.raises(ClusterRefused, match="a search of papers was answered with 400: no"):
        await search(Session(400, {"error": "no"}), "http://b", "papers", {})
    with pytest.raises(ClusterUnreachable, match="no answer from the cluster at http://b: away"):
        await search(Session(200, HITS, error=aiohttp.ClientError("away")), "http://b", "papers", {})
