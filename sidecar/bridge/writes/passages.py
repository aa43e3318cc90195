"""Has the texts of a write embedded, within the budget of the write."""

import asyncio
import re
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from sidecar.bridge.writes.document_plan import Counts, Plan, Vectors, texts_by_space
from sidecar.bridge.writes.late_texts import LateTexts
from sidecar.bridge.writes.pace import Pace
from sidecar.errors import DeadlineExceeded, EmbedderMisbehaved, EmbedderOverloaded, InvalidInput, SidecarError
from sidecar.ports import Embedder, Embeddings, Space, embed_passages
from sidecar.telemetry import BRIDGE_TEXTS, logger, series

_log = logger("bridge")

_CALLS_AT_A_TIME: Final = 4  # enough to keep the embedder busy


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

    def __init__(self, embedder: Embedder, late: LateTexts, timeout_s: float) -> None:
        self._embedder = embedder
        self._late = late
        self._timeout_s = timeout_s
        self._paces: dict[Space, Pace] = {}  # of the models that have answered

    def deadline(self, parameters: Mapping[str, str]) -> float:
        """The time of the event loop at which embedding must end for a write that begins now.

        `parameters` are those of its URL.
        """
        return asyncio.get_running_loop().time() + write_budget_s(parameters, self._timeout_s)

    async def embed(self, plans: Sequence[Plan], deadline: float) -> Vectors:
        """Embed all texts of these plans until the deadline, and keep each vector that has arrived by then.

        Texts that are late, or that the embedder was too busy for, are embedded when the write has been answered.
        """
        vectors = Vectors()
        for space, texts in texts_by_space(plans).items():
            work = _Work(self._embedder, space, texts, self._paces.get(space, Pace()))
            with suppress(TimeoutError):
                async with asyncio.timeout_at(deadline), asyncio.TaskGroup() as group:
                    for _ in range(min(_CALLS_AT_A_TIME, len(texts))):
                        group.create_task(work.run(deadline), name="embed")
            answered = set[str]()
            for some, answer in work.answers:
                vectors.add(space, some, answer)
                answered.update(some)
            if answered:
                self._paces[space] = work.pace
            missing = [text for text in texts if text not in answered]
            if not missing:
                continue
            vectors.miss(space, missing)
            cause = "the time is up" if work.error is None else str(work.error)
            _log.warning("texts stay without vectors", action="ingest_pending", texts=len(missing), error=cause)
            if work.error is None or isinstance(work.error, DeadlineExceeded | EmbedderOverloaded):
                self._late.add(space, missing)
        return vectors


class _Work:
    """The texts of one write in one space, and the answers that have arrived."""

    def __init__(self, embedder: Embedder, space: Space, texts: Sequence[str], pace: Pace) -> None:
        self.answers: list[tuple[Sequence[str], Embeddings]] = []
        self.error: SidecarError | None = None
        self.pace = pace
        self._embedder = embedder
        self._space = space
        self._unasked = deque(texts)

    async def run(self, deadline: float) -> None:
        """Ask for some texts after the other. An error that other texts would get as well ends it for all."""
        now = asyncio.get_running_loop().time
        while self._unasked:
            started = now()
            left_s = max(deadline - started, 0.001)
            some = [self._unasked.popleft() for _ in range(min(self.pace.texts(left_s), len(self._unasked)))]
            try:
                answer = await embed_passages(self._embedder, some, self._space, timeout_s=left_s)
            except SidecarError as error:
                self.error = error
                if not isinstance(error, InvalidInput | EmbedderMisbehaved):
                    self._unasked.clear()
                continue
            self.answers.append((some, answer))
            self.pace.learn(sum(not item.cached for item in answer.items), now() - started)


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
