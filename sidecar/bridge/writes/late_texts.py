"""Has texts embedded whose write did not wait for them.

Nobody takes these vectors. The embedder keeps them in its cache, so a client that tries again, or `repair`, gets them
at once.
"""

import asyncio
from collections.abc import Sequence
from itertools import islice
from types import TracebackType
from typing import Final, Self

from sidecar.bridge.writes.pace import Pace
from sidecar.errors import EmbedderOverloaded, SidecarError
from sidecar.ports import Embedder, Space, embed_passages
from sidecar.telemetry import logger

_log = logger("bridge")

_MAX_CHARACTERS: Final = 8 * 1024 * 1024  # of all texts that wait
_CHARACTERS_OF_A_TEXT: Final = 1_024  # are added to those that it has, so that the number of texts is limited as well
_HORIZON_S: Final = 8.0  # a call takes a sixteenth of it, so that a write that comes meanwhile does not wait long
_CALL_TIMEOUT_S: Final = 60.0


class LateTexts:
    """The texts that wait. One call at a time is made for them, so they hold up nobody. An async context manager."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._pace = Pace()
        self._waiting: dict[tuple[Space, str], None] = {}
        self._characters = 0
        self._something_waits = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._tasks = asyncio.TaskGroup()
        await self._tasks.__aenter__()
        self._worker = self._tasks.create_task(self._run(), name="embed late texts")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give up all texts that wait."""
        self._worker.cancel()
        # The group does not get the error: it is the caller's, and the group would raise it again, wrapped.
        await self._tasks.__aexit__(None, None, None)

    def add(self, space: Space, texts: Sequence[str]) -> None:
        """Have these texts embedded later. Texts for which there is no room are left to `repair`."""
        for text in texts:
            if (space, text) in self._waiting:
                continue
            if self._characters + _weight(text) > _MAX_CHARACTERS:
                break
            self._waiting[space, text] = None
            self._characters += _weight(text)
        self._something_waits.set()

    async def _run(self) -> None:
        while True:
            await self._something_waits.wait()
            if not self._waiting:
                self._something_waits.clear()
                continue
            space, _ = next(iter(self._waiting))
            texts = (text for other, text in self._waiting if other == space)
            some = list(islice(texts, self._pace.texts(_HORIZON_S)))
            pause_s = await self._embed(space, some)
            if pause_s:
                await asyncio.sleep(pause_s)
                continue
            for text in some:
                del self._waiting[space, text]
                self._characters -= _weight(text)

    async def _embed(self, space: Space, texts: Sequence[str]) -> float:
        """Have texts embedded. Gives the seconds after which a busy embedder wants to be asked again, or 0."""
        now = asyncio.get_running_loop().time
        started = now()
        try:
            answer = await embed_passages(self._embedder, texts, space, timeout_s=_CALL_TIMEOUT_S)
            self._pace.learn(sum(not item.cached for item in answer.items), now() - started)
        except EmbedderOverloaded as busy:
            return busy.retry_after_s
        except SidecarError as error:
            _log.info("late texts are left to repair", action="late_failed", texts=len(texts), error=str(error))
        return 0.0


def _weight(text: str) -> int:
    return len(text) + _CHARACTERS_OF_A_TEXT
