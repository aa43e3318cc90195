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


class Kind(Enum):
    """How a client names its documents, and so what it may repeat."""

    INDEX = auto()  # with ids: everything may be repeated
    CREATE = auto()  # with ids: 409 says that an earlier attempt had arrived
    NAMELESS = auto()  # without ids: only what surely was not written


@dataclass
class Ledger:
    """What the clients know, by the text of each document."""

    acknowledged: set[str] = field(default_factory=set)
    sent: set[str] = field(default_factory=set)
    attempts: int = 0
    unexpected: Counter[str] = field(default_factory=Counter)  # answers that no client should see


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
            size = self._rng.randint(2, 20)
            bulk, left = left[:size], left[size:]
            while bulk:
                bulk = await self._attempt(bulk)
                await asyncio.sleep(self._rng.uniform(0, _MAX_PAUSE_S))

    async def _attempt(self, texts: list[str]) -> list[str]:
        """Send one bulk; the documents that are to be sent again."""
        self._ledger.attempts += 1
        self._ledger.sent.update(texts)
        try:
            async with asyncio.timeout(_ATTEMPT_TIMEOUT_S):
                answer = await self._bridge("POST", self._path, ndjson(*self._lines(texts)))
        except (aiohttp.ClientError, TimeoutError):
            return self._unknown(texts)
        if answer.status == 429:
            return texts
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
            elif item["status"] in _WORTH_ANOTHER_TRY:
                again += [text] if item["status"] == 429 else self._unknown([text])
            else:
                self._ledger.unexpected[f"item {item['status']}: {item.get('error')}"] += 1
        return again

    def _unknown(self, texts: list[str]) -> list[str]:
        """What may be repeated if nobody knows whether it was written."""
        return [] if self._kind is Kind.NAMELESS else texts

    def _lines(self, texts: list[str]) -> list[object]:
        action = "create" if self._kind is Kind.CREATE else "index"
        lines: list[object] = []
        for text in texts:
            lines += [{action: {} if self._kind is Kind.NAMELESS else {"_id": text}}, {"title": text}]
        return lines
