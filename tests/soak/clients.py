"""Clients that write bulks and repeat what failed, each as clients of its kind do; and what they were told."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

import aiohttp

from tests.support.http import Answer, Http, ndjson

_ATTEMPT_TIMEOUT_S = 3.0
_MAX_PAUSE_S = 0.1
_WORTH_ANOTHER_TRY = (429, 503)
_DRAFT = "draft of "


class Kind(Enum):
    """How a client writes its documents, and so what it may repeat."""

    INDEX = auto()  # with ids: everything may be repeated
    CREATE = auto()  # with ids: 409 says that an earlier attempt had arrived
    NAMELESS = auto()  # without ids: only what surely was not written
    UPDATE = auto()  # drafts get another text
    SCRIPT = auto()  # counts, so that whatever happens twice shows

    @property
    def may_conflict(self) -> bool:
        """Whether an earlier attempt that is still under way may have changed what was read."""
        return self in (Kind.UPDATE, Kind.SCRIPT)


@dataclass
class Ledger:
    """What the clients know, by the text of each document."""

    acknowledged: set[str] = field(default_factory=set)
    sent: set[str] = field(default_factory=set)
    writes: Counter[str] = field(default_factory=Counter)  # how often at most each may have been written
    doubled: set[str] = field(default_factory=set)  # what was there already when it was sent for the first time
    attempts: int = 0
    unexpected: Counter[str] = field(default_factory=Counter)  # answers that no client should see


def text_of(title: str) -> str:
    """Which document a stored title belongs to."""
    return title.removeprefix(_DRAFT)


async def write_drafts(bridge: Http, index: str, texts: Sequence[str], ledger: Ledger) -> None:
    """Store the documents that are to be updated."""
    lines = [line for text in texts for line in ({"index": {"_id": text}}, {"title": f"{_DRAFT}{text}"})]
    answer = await bridge("POST", f"/{index}/_bulk", ndjson(*lines))
    assert answer.json["errors"] is False, answer.body
    ledger.sent.update(f"{_DRAFT}{text}" for text in texts)
    ledger.writes.update(texts)


class Client:
    """Writes its documents, in bulks of random sizes, until each was acknowledged or may not be repeated."""

    def __init__(self, bridge: Http, index: str, kind: Kind, ledger: Ledger, rng: random.Random) -> None:
        self._bridge = bridge
        self._path = f"/{index}/_bulk"
        self._kind = kind
        self._ledger = ledger
        self._rng = rng

    async def write(self, texts: Sequence[str]) -> None:
        left = list(texts)
        while left:
            size = self._rng.randint(2, 10)
            bulk, left = left[:size], left[size:]
            while bulk:
                bulk = await self._attempt(bulk)
                await asyncio.sleep(self._rng.uniform(0, _MAX_PAUSE_S))

    async def _attempt(self, texts: list[str]) -> list[str]:
        """Send one bulk; the documents that are to be sent again."""
        self._ledger.attempts += 1
        self._ledger.sent.update(texts)
        self._ledger.writes.update(texts)
        try:
            async with asyncio.timeout(_ATTEMPT_TIMEOUT_S):
                answer = await self._bridge("POST", self._path, ndjson(*self._lines(texts)))
        except (aiohttp.ClientError, TimeoutError):
            return self._unknown(texts)
        if answer.status == 429:
            return self._not_written(texts)
        if answer.status == 503:
            return self._unknown(texts)
        if answer.status != 200:
            self._ledger.unexpected[f"{answer.status}: {answer.body[:200]!r}"] += 1
            return self._unknown(texts)
        return self._items(texts, answer)

    def _items(self, texts: list[str], answer: Answer) -> list[str]:
        again = []
        for text, named in zip(texts, answer.json["items"], strict=True):
            (item,) = named.values()
            if item["status"] in (200, 201) or (self._kind is Kind.CREATE and item["status"] == 409):
                self._ledger.acknowledged.add(text)
                if item["status"] == 409 and self._ledger.writes[text] == 1:
                    self._ledger.doubled.add(text)
            elif item["status"] == 429 or (self._kind.may_conflict and item["status"] == 409):
                again += self._not_written([text])
            elif item["status"] in _WORTH_ANOTHER_TRY:
                again += self._unknown([text])
            else:
                self._ledger.unexpected[f"item {item['status']}: {item.get('error')}"] += 1
        return again

    def _not_written(self, texts: list[str]) -> list[str]:
        self._ledger.writes.subtract(texts)
        return texts

    def _unknown(self, texts: list[str]) -> list[str]:
        """What may be repeated if nobody knows whether it was written."""
        return [] if self._kind is Kind.NAMELESS else texts

    def _lines(self, texts: list[str]) -> list[object]:
        return [line for text in texts for line in self._operation(text)]

    def _operation(self, text: str) -> tuple[object, object]:
        match self._kind:
            case Kind.NAMELESS:
                return {"index": {}}, {"title": text}
            case Kind.UPDATE:
                return {"update": {"_id": text}}, {"doc": {"title": text}}
            case Kind.SCRIPT:
                script = "ctx._source.count += 1"
                return {"update": {"_id": text}}, {"script": script, "upsert": {"title": text, "count": 1}}
        return {self._kind.name.lower(): {"_id": text}}, {"title": text}
