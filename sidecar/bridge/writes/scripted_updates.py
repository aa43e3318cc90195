"""Sends each scripted update of a bulk as a request of its own. Only then does the guard see the script's result."""

import asyncio
from collections.abc import Sequence
from typing import Final

from sidecar.bridge.proxy import presentation
from sidecar.bridge.proxy.errors import error_reason, error_status
from sidecar.bridge.proxy.headers import READ_ANSWER
from sidecar.bridge.proxy.incoming import IncomingRequest
from sidecar.bridge.proxy.query_string import join_target, without_parameters
from sidecar.bridge.proxy.upstream import Upstream, read_answer
from sidecar.bridge.writes.bulk_action import Operation
from sidecar.bridge.writes.bulk_answer import BulkAnswer, answer_of_part, failed, failed_item, is_noop, item_outcome
from sidecar.bridge.writes.bulk_body import BulkItem
from sidecar.bridge.writes.single_update import (
    Upsert,
    as_bulk_item,
    creation,
    piped_upsert,
    single_update,
    without_upsert,
)
from sidecar.bridge.writes.update_plan import OUR_RETRIES
from sidecar.errors import ClusterUnreachable, ConnectionLost

_AT_A_TIME: Final = 32
_NOT_FOUND: Final = 404
_UNGUARDED: Final = (
    "with [scripted_upsert] and a pipeline no guard would check the new document: "
    "leave the pipeline out, or send [upsert] without [scripted_upsert]"
)
_UNNAMEABLE: Final = "an update that is sent alone must not have half a surrogate pair in its [_id] or its parameters"


class ScriptedUpdates:
    """Sends scripted updates with the client's own credentials."""

    def __init__(self, upstream: Upstream, request: IncomingRequest) -> None:
        self._upstream = upstream
        self._request = request
        self._parameters = request.parameters

    async def send(self, items: Sequence[BulkItem], *, is_first: bool) -> list[bytes]:
        """Send these items. Gives their answers as items of a bulk answer, in order.

        `is_first` says that nothing of the bulk has been answered yet. Raises ClusterUnreachable if that stays so.
        """
        free, errors = asyncio.Semaphore(_AT_A_TIME), list[ClusterUnreachable]()

        async def run(item: BulkItem) -> bytes:
            async with free:
                try:
                    return await self._run(item)
                except ClusterUnreachable as error:
                    errors.append(error)
                    return unanswered((item,), error).items[0]
                except UnicodeEncodeError:
                    return failed_item(item, 400, "illegal_argument_exception", _UNNAMEABLE)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(run(item), name="scripted update") for item in items]
        if is_first and errors and len(errors) == len(items):
            raise next((error for error in errors if isinstance(error, ConnectionLost)), errors[0])
        return [task.result() for task in tasks]

    async def _run(self, item: BulkItem) -> bytes:
        upsert = piped_upsert(item, self._parameters)
        if upsert is None:
            return await self._update(item)
        # First the part that needs the pipeline, then the script alone. Meanwhile somebody may create or delete the
        # document.
        for _ in range(1 + OUR_RETRIES):
            if upsert is Upsert.PLAIN:
                created = await self._create(creation(item))
                if not is_noop(created):
                    return created
            answer = await self._update(without_upsert(item))
            if item_outcome(answer)[0] != _NOT_FOUND:
                return answer
            if upsert is Upsert.OF_SCRIPT:
                return failed_item(item, 400, "illegal_argument_exception", _UNGUARDED)
        return answer

    async def _update(self, item: BulkItem) -> bytes:
        target, body = single_update(item, self._parameters)
        status, answer = await self._ask("POST", self._request.identified(target), body)
        return as_bulk_item(item, status, answer)

    async def _create(self, item: BulkItem) -> bytes:
        query = without_parameters(self._request.query, *presentation.PARAMETERS)
        target = join_target(self._request.path, query)
        status, answer = await self._ask(self._request.method, target, item.render())
        return answer_of_part((item,), status, answer).items[0]

    async def _ask(self, method: str, target: str, body: bytes) -> tuple[int, bytes]:
        headers = [*self._request.for_upstream(*READ_ANSWER, "content-type"), ("Content-Type", "application/json")]
        async with self._upstream.send(method, target, headers, body) as response:
            return response.status, await read_answer(response)


def unanswered(operations: Sequence[Operation], error: ClusterUnreachable) -> BulkAnswer:
    """The answer to operations that the cluster has not answered. It says whether they may have been written."""
    status, error_type = error_status(error)
    return failed(operations, status, error_type, error_reason(error))
