import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.rpc.breaker import Breaker, Health

SERVING, REFUSES, SILENT = Health.SERVING, Health.REFUSES, Health.SILENT
Event = tuple[Health | str, float | None]


@pytest.mark.parametrize(
    ("events", "is_open", "hangs"),
    [
        pytest.param([], False, False, id="nothing is known of it"),
        pytest.param([("lost", 1.0)], True, False, id="the connection broke"),
        pytest.param([("lost", 1.0), (REFUSES, 2.0)], True, False, id="nobody listens yet"),
        pytest.param([("lost", 1.0), (SERVING, 2.0)], False, False, id="it is back"),
        pytest.param([("lost", 1.0), ("answered", 2.0)], True, False, id="an answer to an old call is no probe"),
        pytest.param([("refused", None)], False, False, id="one refusal may be about one model"),
        pytest.param([("refused", None), (SERVING, 1.0)], False, False, id="a refusal that was about one model"),
        pytest.param([("refused", None), (REFUSES, 1.0)], True, False, id="a server that drains"),
        pytest.param([(SILENT, 1.0)], False, False, id="one probe may be lost"),
        pytest.param([(SILENT, 1.0), (SILENT, 2.0)], True, True, id="it hangs"),
        pytest.param([(SILENT, 1.0), ("answered", 1.5), (SILENT, 2.0)], False, False, id="slow, but it answers"),
        pytest.param([(SILENT, 1.0), (SERVING, 1.5), (SILENT, 2.0)], False, False, id="slow probes, not in a row"),
        pytest.param([(SILENT, 1.0), (SILENT, 2.0), (SERVING, 3.0)], False, False, id="it goes on after a while"),
        pytest.param([("lost", 1.0), (SILENT, 2.0), (SILENT, 3.0)], True, True, id="lost, and then it hangs"),
    ],
)
def test_when_a_replica_is_not_used(events: list[Event], is_open: bool, hangs: bool) -> None:
    breaker = _after(events)
    assert (breaker.is_open, breaker.hangs) == (is_open, hangs)


@pytest.mark.parametrize(
    ("events", "waits_since", "due"),
    [
        pytest.param([], None, None, id="idle"),
        pytest.param([], 5.0, 6.0, id="a call that waits for a second"),
        pytest.param([("answered", 5.5)], 5.0, 6.5, id="others were answered meanwhile"),
        pytest.param([(SERVING, 7.0)], 5.0, 8.0, id="again after a second, while the call waits"),
        pytest.param([(SERVING, 7.0)], None, None, id="it serves and nobody waits"),
        pytest.param([(SILENT, 7.0)], 5.0, 7.0, id="again at once, when a probe was not answered"),
        pytest.param([(SILENT, 7.0)], None, 7.0, id="also if the caller has gone"),
        pytest.param([("answered", 7.0), ("refused", None)], None, 7.0, id="at once, when it says that it cannot"),
        pytest.param([("answered", 7.0), ("unanswered", 8.0)], None, 7.0, id="at once, after a call without an answer"),
        pytest.param([("answered", 7.0), ("unanswered", 6.0)], None, None, id="a short deadline of a busy server"),
        pytest.param([("lost", 7.0)], None, 7.5, id="open: soon"),
        pytest.param([("lost", 7.0), (REFUSES, 7.6)], 5.0, 8.1, id="open: again and again"),
        pytest.param([("lost", 7.0), (SERVING, 7.6)], None, None, id="closed again"),
    ],
)
def test_when_it_is_probed(events: list[Event], waits_since: float | None, due: float | None) -> None:
    assert _after(events).next_probe(waits_since) == due


@given(st.lists(st.sampled_from([SERVING, REFUSES, SILENT, "lost", "answered", "unanswered", "refused"])))
def test_whatever_happened_a_replica_that_serves_is_found_soon(kinds: list[Health | str]) -> None:
    breaker = _after([(kind, None if kind == "refused" else float(time)) for time, kind in enumerate(kinds)])
    due = breaker.next_probe(None)
    assert due is not None if breaker.is_open else True
    assert due is None or due <= len(kinds) + 0.5
    breaker.probed(SERVING, len(kinds) + 1.0)
    assert not breaker.is_open
    assert breaker.next_probe(None) is None


def _after(events: list[Event]) -> Breaker:
    breaker = Breaker()
    for event, time in events:
        if isinstance(event, Health):
            breaker.probed(event, time or 0.0)
        elif time is None:
            getattr(breaker, event)()
        else:
            getattr(breaker, event)(time)
    return breaker
