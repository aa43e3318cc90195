"""Forks of a process that has clients. gRPC survives one only if it is not in use in that moment.

So idle connections are closed before a fork, and the next call of either process opens them again. A call in work is
left alone. Then gRPC is of no use in the child, and its calls say so instead of waiting for ever.
"""

import gc
import os
import threading
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar
from weakref import WeakKeyDictionary, WeakSet

from sidecar.errors import Conflict

T = TypeVar("T")

_POLLER: Final = "_poll_wrapper"  # in the name of the thread that grpc.aio has while a channel or a server is open


class Connected(Protocol):
    """Something that uses gRPC."""

    def rest(self) -> None:
        """Let go of gRPC, if no call is in work."""
        ...


still = threading.Lock()  # held by whoever begins a call, and during a fork

_connected: Final[WeakSet[Connected]] = WeakSet()
_kept: Final[WeakKeyDictionary[Any, Callable[[Any], None]]] = WeakKeyDictionary()
_abandoned: Final[list[object]] = []
_was_in_use = False  # at the last fork
_is_useless = False  # gRPC, in this process


def watch(one: Connected) -> None:
    """Let it rest before each fork."""
    with still:
        _connected.add(one)


def keep(one: T, forget: Callable[[T], None]) -> None:
    """Let it begin anew in each forked child: `forget` leaves the threads and event loops of the parent alone."""
    with still:
        _kept[one] = forget


def abandon(*things: object) -> None:
    """Keep things of the parent alive. To close them in the child would disturb the parent: they share descriptors."""
    _abandoned.extend(things)


def check() -> None:
    """Raises Conflict in a process that was forked while gRPC was in use."""
    if _is_useless:
        raise Conflict(
            "this process was forked while gRPC was in use, which gRPC does not survive:"
            " fork between calls, or start processes by spawn or forkserver"
        )


def _before() -> None:
    global _was_in_use  # noqa: PLW0603 - there is one process
    still.acquire()
    for one in list(_connected):
        one.rest()
    if _polls():  # an ended call may hold its channel until it is collected
        gc.collect()
    _was_in_use = _polls()


def _in_parent() -> None:
    still.release()


def _in_child() -> None:
    global still, _is_useless
    still, _is_useless = threading.Lock(), _is_useless or _was_in_use
    for one, forget in list(_kept.items()):
        forget(one)


def _polls() -> bool:
    return any(_POLLER in thread.name for thread in threading.enumerate())


os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
