from hypothesis import given
from hypothesis import strategies as st

from sidecar.embedding.batching import INTERACTIVE_IN_A_ROW, choose_batch, choose_lane
from sidecar.ports import Lane

LENGTHS = st.lists(st.integers(1, 512), min_size=1, max_size=60)
BUDGETS = st.integers(1, 4_096)


@given(LENGTHS, BUDGETS)
def test_a_batch_holds_the_oldest_text_and_stays_within_the_budget(lengths: list[int], max_tokens: int) -> None:
    batch = choose_batch(lengths, max_tokens)
    assert 0 in batch
    assert len(set(batch)) == len(batch)
    assert len(batch) == 1 or max(lengths[p] for p in batch) * len(batch) <= max_tokens


@given(LENGTHS, BUDGETS)
def test_a_batch_leaves_nothing_out_that_fits_between_its_lengths(lengths: list[int], max_tokens: int) -> None:
    batch = choose_batch(lengths, max_tokens)
    taken = [lengths[p] for p in batch]
    left = [length for position, length in enumerate(lengths) if position not in batch]
    assert not [length for length in left if min(taken) < length < max(taken)]


@given(LENGTHS, BUDGETS)
def test_batch_after_batch_takes_every_text_exactly_once(lengths: list[int], max_tokens: int) -> None:
    waiting = list(range(len(lengths)))
    taken: list[int] = []
    while waiting:
        batch = choose_batch([lengths[p] for p in waiting], max_tokens)
        taken += [waiting[p] for p in batch]
        waiting = [p for position, p in enumerate(waiting) if position not in batch]
    assert sorted(taken) == list(range(len(lengths)))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_no_lane_waits_longer_than_its_share_allows(waiting: list[tuple[bool, bool]]) -> None:
    in_a_row = bulk_waited = interactive_waited = 0
    for interactive, bulk in waiting:
        lane = choose_lane(interactive=interactive, bulk=bulk, interactive_in_a_row=in_a_row)
        in_a_row = in_a_row + 1 if lane is Lane.INTERACTIVE else 0
        bulk_waited = bulk_waited + 1 if bulk and lane is Lane.INTERACTIVE else 0
        interactive_waited = interactive_waited + 1 if interactive and lane is Lane.BULK else 0
        assert bulk_waited <= INTERACTIVE_IN_A_ROW
        assert interactive_waited <= 1
