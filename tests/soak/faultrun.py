"""One fault run, and the audit after it."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass
from unittest.mock import patch

from sidecar.bridge.writes import conversation
from sidecar.model import Binding, ModelVersion
from tests.soak.chaos import Chaos
from tests.soak.clients import Client, Kind, Ledger
from tests.support.between import between, broken_promises, stored
from tests.support.http import Http

_RUN_TIMEOUT_S = 120.0
_SUB_BULK_BYTES = 40_000  # so that a bulk of some documents becomes several
_SETTINGS = {"write_embed_timeout_s": 0.5, "connect_timeout_s": 0.5, "binding_ttl_s": 0.5}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run has shown; the four lists are empty if all is well."""

    seed: int
    documents: int
    acknowledged: int
    attempts: int
    pending: int
    faults: tuple[str, ...]
    lost: tuple[str, ...]
    duplicated: tuple[str, ...]
    unmarked: tuple[str, ...]
    unexpected: tuple[str, ...]

    @property
    def is_good(self) -> bool:
        return not (self.lost or self.duplicated or self.unmarked or self.unexpected)


async def fault_run(
    direct: Http, index: str, binding: Binding, version: ModelVersion, *, seed: int, documents: int = 500
) -> Outcome:
    """Write so many documents into an empty index through a bridge of its own, harmed as the seed says."""
    ledger = Ledger()
    with patch.object(conversation, "MAX_SUB_BULK_BYTES", _SUB_BULK_BYTES):
        async with between(direct.url, version, **_SETTINGS) as at:
            chaos = Chaos(at, random.Random(seed))
            async with asyncio.timeout(_RUN_TIMEOUT_S), asyncio.TaskGroup() as tasks:
                harming = tasks.create_task(chaos.run(), name="chaos")
                await _write(at.bridge, index, ledger, seed, documents)
                harming.cancel()
        found = await stored(direct, index)
    texts = Counter(document["title"] for document in found.values())
    return Outcome(
        seed=seed,
        documents=documents,
        acknowledged=len(ledger.acknowledged),
        attempts=ledger.attempts,
        pending=sum(document[binding.meta_field]["state"] == "pending" for document in found.values()),
        faults=tuple(chaos.log),
        lost=tuple(ledger.acknowledged - texts.keys()),
        duplicated=tuple(text for text, count in texts.items() if count > 1),
        unmarked=tuple(broken_promises(found, binding, at.stub.hashes)),
        unexpected=(*ledger.unexpected, *(f"nobody sent [{text}]" for text in texts.keys() - ledger.sent)),
    )


async def _write(bridge: Http, index: str, ledger: Ledger, seed: int, documents: int) -> None:
    kinds = (Kind.INDEX, Kind.CREATE, Kind.NAMELESS, Kind.NAMELESS)
    async with asyncio.TaskGroup() as tasks:
        for number, kind in enumerate(kinds):
            texts = [f"passage {n} of run {seed}" for n in range(number, documents, len(kinds))]
            client = Client(bridge, index, kind, ledger, random.Random(f"{seed}/{number}"))
            tasks.create_task(client.write(texts), name=f"client {number}")
