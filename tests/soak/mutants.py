"""Bridges that break their promise, each in a way that only faults bring to light: a soak must find them."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any, Final
from unittest.mock import patch

import aiohttp

from sidecar.bridge.proxy.upstream import Upstream
from sidecar.bridge.writes import bulk_handler, scripted_updates, update_plan
from sidecar.bridge.writes.bulk_action import Operation
from sidecar.bridge.writes.bulk_answer import BulkAnswer
from sidecar.bridge.writes.document_plan import Vectors
from sidecar.errors import ClusterUnreachable
from sidecar.jsontext import dumps
from sidecar.model import Binding, ModelVersion
from sidecar.ports import Embeddings, Space
from tests.soak.faultrun import fault_run
from tests.support.http import Http

_send, _doc_members, _add = Upstream.send, update_plan._doc_members, Vectors.add


@asynccontextmanager
async def _sends_again(self: Upstream, *request: Any, **options: Any) -> AsyncIterator[aiohttp.ClientResponse]:
    sending = _send(self, *request, **options)
    try:
        response = await sending.__aenter__()
    except ClusterUnreachable:
        sending = _send(self, *request, **options)
        response = await sending.__aenter__()
    try:
        yield response
    finally:
        await sending.__aexit__(None, None, None)


def _claims(operations: Sequence[Operation], error: ClusterUnreachable) -> BulkAnswer:
    done = [dumps({operation.action: {"_id": operation.id, "status": 200}}) for operation in operations]
    return BulkAnswer(0, None, errors=False, items=tuple(done))


@contextmanager
def _claiming() -> Iterator[None]:
    with patch.object(bulk_handler, "unanswered", _claims), patch.object(scripted_updates, "unanswered", _claims):
        yield


def _forgets_the_mark(plan: update_plan.PartialPlan, vectors: Vectors) -> Any:
    added, counts = _doc_members(plan, vectors)
    return ({} if counts.pending else added), counts


def _takes_the_next_row(self: Vectors, space: Space, texts: Sequence[str], answer: Embeddings) -> None:
    """As if there were a row for each text, though a text that was refused has none."""
    rows = tuple(item for item in answer.items if item.row >= 0)
    _add(self, space, texts[: len(rows)], replace(answer, items=rows))


async def is_found(mutant: str, direct: Http, name: str, binding: Binding, version: ModelVersion) -> bool:
    """Whether one of a few short runs shows it: which write a fault meets is chance, though the faults are the same."""
    for seed in range(1, 9):
        index = f"{name}-{seed}"
        assert (await direct("PUT", f"/{index}")).status == 200
        with MUTANTS[mutant]():
            outcome = await fault_run(direct, index, binding, version, seed=seed, documents=300)
        await direct("DELETE", f"/{index}")
        if not outcome.is_good:
            return True
    return False


MUTANTS: Final[dict[str, Callable[[], AbstractContextManager[object]]]] = {
    "sends a write twice": lambda: patch.object(Upstream, "send", _sends_again),
    "loses an item": _claiming,
    "leaves a changed text unmarked": lambda: patch.object(update_plan, "_doc_members", _forgets_the_mark),
    "writes the vector of another text": lambda: patch.object(Vectors, "add", _takes_the_next_row),
}
