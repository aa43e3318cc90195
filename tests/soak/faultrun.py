"""One fault run, and the audit after it."""

import asyncio
import random
from dataclasses import dataclass
from unittest.mock import patch

from sidecar.bridge.writes import bulk_preparation as preparing
from sidecar.model import Binding, ModelVersion
from tests.soak.audit import left_by_repair, read
from tests.soak.chaos import Chaos
from tests.soak.clients import Client, Kind, Ledger, write_drafts
from tests.support.between import between, broken_promises
from tests.support.http import Http

_RUN_TIMEOUT_S = 120.0
_SUB_BULK_BYTES = 10_000  # so that a bulk of some documents becomes several
_SETTINGS = {"write_embed_timeout_s": 0.5, "connect_timeout_s": 0.5, "binding_ttl_s": 0.5}
_KINDS = (Kind.INDEX, Kind.CREATE, Kind.NAMELESS, Kind.UPDATE, Kind.SCRIPT)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run has shown; the lists of what went wrong are empty if all is well."""

    seed: int
    documents: int
    acknowledged: int
    attempts: int
    pending: int
    faults: tuple[str, ...]
    lost: tuple[str, ...]
    duplicated: tuple[str, ...]
    unmarked: tuple[str, ...]
    unrepaired: tuple[str, ...]
    unexpected: tuple[str, ...]

    @property
    def is_good(self) -> bool:
        return not (self.lost or self.duplicated or self.unmarked or self.unrepaired or self.unexpected)


async def fault_run(
    direct: Http, index: str, binding: Binding, version: ModelVersion, *, seed: int, documents: int = 500
) -> Outcome:
    """Write so many documents into an empty index through a bridge of its own, harmed as the seed says."""
    ledger = Ledger()
    with patch.object(preparing, "MAX_SUB_BULK_BYTES", _SUB_BULK_BYTES):
        async with between(direct.url, version, **_SETTINGS) as at:
            texts = {kind: _texts(number, documents, seed) for number, kind in enumerate(_KINDS)}
            await write_drafts(at.bridge, index, texts[Kind.UPDATE], ledger)
            chaos = Chaos(at, random.Random(seed))
            async with asyncio.timeout(_RUN_TIMEOUT_S), asyncio.TaskGroup() as tasks:
                harming = tasks.create_task(chaos.run(), name="chaos")
                await _write(at.bridge, index, ledger, texts, seed)
                harming.cancel()
        found = await read(direct, index)
    return Outcome(
        seed=seed,
        documents=documents,
        acknowledged=len(ledger.acknowledged),
        attempts=ledger.attempts,
        pending=len(found.pending(binding)),
        faults=tuple(chaos.log),
        lost=tuple(found.lost(ledger)),
        duplicated=tuple(found.doubled(ledger)),
        unmarked=tuple(broken_promises(found.documents, binding, at.stub.hashes)),
        unrepaired=tuple(await left_by_repair(direct, index, binding, at.stub.hashes)),
        unexpected=(*ledger.unexpected, *(f"nobody sent [{title}]" for title in found.titles - ledger.sent)),
    )


def _texts(number: int, documents: int, seed: int) -> list[str]:
    return [f"passage {n} of run {seed}" for n in range(number, documents, len(_KINDS))]


async def _write(bridge: Http, index: str, ledger: Ledger, texts: dict[Kind, list[str]], seed: int) -> None:
    async with asyncio.TaskGroup() as tasks:
        for kind, own in texts.items():
            client = Client(bridge, index, kind, ledger, random.Random(f"{seed}/{kind.name}"))
            tasks.create_task(client.write(own), name=f"client {kind.name}")
