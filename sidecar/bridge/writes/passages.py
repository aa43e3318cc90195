"""Has the texts of a write embedded, within the budget of the write."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Final

from sidecar.bridge.writes.document_plan import Counts, Plan, Vectors, texts_by_space
from sidecar.errors import EmbedderOverloaded, SidecarError
from sidecar.ports import Embedder, Embeddings, Space, embed_passages
from sidecar.telemetry import BRIDGE_TEXTS, logger, series

_log = logger("bridge")

_SLICE_TEXTS: Final = 256  # in one call. When the time is up, the vectors of finished calls are kept
_SLICES_AT_A_TIME: Final = 4  # enough to keep the embedder busy


_SECONDS: Final = {
    "nanos": 1e-9,
    "micros": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3_600.0,
    "d": 86_400.0,
}
# As TimeValue of OpenSearch reads it. Units may have any case, but `M` is not minutes. Only whole numbers are read, and
# 0 needs no unit.
_TIME: Final = re.compile(r"\s*\+?(?P<number>[0-9]{1,19})\s*(?P<unit>(?i:nanos|micros|ms|s|h|d)|m)\s*|\s*0+\s*")


class Passages:
    """Embeds the texts of writes."""

    def __init__(self, embedder: Embedder, timeout_s: float) -> None:
        self._embedder = embedder
        self._timeout_s = timeout_s

    def deadline(self, parameters: Mapping[str, str]) -> float:
        """The time of the event loop at which embedding must end for a write that begins now.

        `parameters` are those of its URL.
        """
        return asyncio.get_running_loop().time() + write_budget_s(parameters, self._timeout_s)

    async def embed(self, plans: Sequence[Plan], deadline: float) -> Vectors:
        """Embed all texts of these plans until the deadline. A text that has no vector then becomes `pending`.

        Raises EmbedderOverloaded if a text has no vector and its binding wants such a write refused.
        """
        vectors = Vectors()
        for space, texts in texts_by_space(plans).items():
            slices = [texts[start : start + _SLICE_TEXTS] for start in range(0, len(texts), _SLICE_TEXTS)]
            turn = asyncio.Semaphore(_SLICES_AT_A_TIME)
            async with asyncio.TaskGroup() as group:
                asked = [group.create_task(self._ask(space, some, deadline, turn), name="embed") for some in slices]
            error, without = None, 0
            for some, task in zip(slices, asked, strict=True):
                answer = task.result()
                if isinstance(answer, Embeddings):
                    vectors.add(space, some, answer)
                else:
                    error, without = answer, without + len(some)
            if error is not None:
                _log.warning(
                    "texts are indexed without vectors", action="ingest_pending", texts=without, error=str(error)
                )
                _refuse_if_bound_so(plans, space)
        return vectors

    async def _ask(
        self, space: Space, texts: Sequence[str], deadline: float, turn: asyncio.Semaphore
    ) -> Embeddings | SidecarError:
        async with turn:
            left_s = max(deadline - asyncio.get_running_loop().time(), 0.001)
            try:
                return await embed_passages(self._embedder, texts, space, timeout_s=left_s)
            except SidecarError as error:
                return error


def _refuse_if_bound_so(plans: Sequence[Plan], space: Space) -> None:
    if any(w.space == space and w.binding.write.on_failure == "reject" for plan in plans for w in plan.wanted):
        raise EmbedderOverloaded(retry_after_s=1.0)


def report(counts: Counts) -> None:
    """Add counts to the metrics."""
    series(BRIDGE_TEXTS, "embedded").inc(counts.embedded)
    series(BRIDGE_TEXTS, "cached").inc(counts.cached)
    series(BRIDGE_TEXTS, "pending").inc(counts.pending)


def write_budget_s(parameters: Mapping[str, str], default_s: float) -> float:
    """The embedding budget of one write: the default, or the client's `timeout` if that is shorter.

    A client with a short `timeout` would be gone before a longer embedding ends and its documents are stored. A
    `timeout` that OpenSearch cannot read does not matter here, because the cluster answers it with an error. -1 means
    no timeout, so it does not matter either.
    """
    found = _TIME.fullmatch(parameters.get("timeout", ""))
    if found is None:
        return default_s
    number, unit = found["number"], found["unit"]
    return min(default_s, int(number) * _SECONDS[unit.lower()]) if unit else 0.0
