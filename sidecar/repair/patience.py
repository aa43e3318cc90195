"""Patience with a cluster or an embedder that is away or busy. It is logged once."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_delay,
    stop_never,
    wait_random_exponential,
)

from sidecar.errors import ClusterRefused, ErrorKind, SidecarError
from sidecar.telemetry import logger

T = TypeVar("T")

_log = logger("repair")

_FIRST_PAUSE_S: Final = 0.5  # at most: each pause is random, so that several repairs do not come back together
_LONGEST_PAUSE_S: Final = 30.0
_TEMPORARY: Final = (ErrorKind.OVERLOADED, ErrorKind.UNAVAILABLE, ErrorKind.DEADLINE)
_TEMPORARY_STATUSES: Final = (429, 502, 503, 504)
_NOT_FOUND: Final = 404


class Patience:
    """Makes a call again if it may succeed later, with growing pauses. Logs when a part is away and when it is back."""

    def __init__(self, limit_s: float | None) -> None:
        """`limit_s` is the limit of each call. None means for ever."""
        self._stop = stop_never if limit_s is None else stop_after_delay(limit_s)
        self._away: set[str] = set()

    async def call(self, part: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """The result of the first attempt that succeeds.

        Raises the error of an attempt if it is not temporary, or when patience ends.
        """

        def before_sleep(state: RetryCallState) -> None:
            if part not in self._away:
                self._away.add(part)
                error = state.outcome.exception() if state.outcome is not None else None
                _log.warning("waits", action="repair_waits", part=part, error=str(error))

        retrying = AsyncRetrying(
            stop=self._stop,
            wait=wait_random_exponential(multiplier=_FIRST_PAUSE_S, max=_LONGEST_PAUSE_S),
            retry=retry_if_exception(is_temporary),
            before_sleep=before_sleep,
            reraise=True,
        )
        result: T = await retrying(attempt)
        if part in self._away:
            self._away.remove(part)
            _log.info("goes on", action="repair_goes_on", part=part)
        return result


def is_temporary(error: BaseException) -> bool:
    """Whether the same call may succeed later."""
    if isinstance(error, ClusterRefused):
        return error.status in _TEMPORARY_STATUSES or "cluster_block_exception" in error.reason
    return isinstance(error, SidecarError) and error.kind in _TEMPORARY


def problem_of(error: SidecarError) -> str | None:
    """Why the rest of an index is not read; None if it has been deleted meanwhile.

    Raises a temporary error again: patience has ended, and the next index would fare no better.
    """
    if is_temporary(error):
        raise error
    is_gone = isinstance(error, ClusterRefused) and error.status == _NOT_FOUND
    return None if is_gone else str(error)
