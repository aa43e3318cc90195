"""The bytes of all requests in work together: who is let in, and who is not."""

import pytest

from sidecar.bridge.proxy.budget import BridgeOverloaded, Budget


def test_a_request_alone_is_never_refused() -> None:
    budget = Budget(10)
    with budget.share() as only:
        only.hold(1_000)
        only.hold_more(1_000)
        assert budget.held == 2_000
    assert budget.held == 0


def test_a_request_is_refused_beside_others_that_leave_no_room() -> None:
    budget = Budget(10)
    with budget.share() as first, budget.share() as second:
        first.hold(6)
        second.hold(4)
        with pytest.raises(BridgeOverloaded, match="exceed the limit of \\[10\\] bytes"):
            second.hold_more(1)
        assert budget.held == 10
        first.hold(0)
        second.hold(11)


def test_a_request_may_hold_less_although_there_is_no_room() -> None:
    budget = Budget(10)
    with budget.share() as first, budget.share() as second:
        second.hold(1)
        first.hold(9)
        budget.limit = 5
        first.hold(8)
        assert budget.held == 9


def test_what_a_refused_request_holds_is_given_back() -> None:
    budget = Budget(10)
    with budget.share() as first:
        first.hold(8)
        with budget.share() as second:
            second.hold(2)
            with pytest.raises(BridgeOverloaded):
                second.hold_more(1)
        assert budget.held == 8
