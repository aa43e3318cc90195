from hypothesis import given
from hypothesis import strategies as st

from sidecar.embedding.batching import BULK_SHARE, choose_batch, choose_lane, owed_after, padded, padding_tokens
from sidecar.ports import Lane

LENGTHS = st.lists(st.integers(1, 512), min_size=1, max_size=60)
BUDGETS = st.integers(1, 4_096)
BUCKETS = st.sampled_from([0, 8, 16])
BULK_BATCH_S = 0.05


@given(LENGTHS, BUDGETS, BUCKETS)
def test_a_batch_holds_the_oldest_text_and_stays_within_the_budget(
    lengths: list[int], max_tokens: int, bucket_tokens: int
) -> None:
    batch = choose_batch(lengths, max_tokens, bucket_tokens)
    assert 0 in batch
    assert len(set(batch)) == len(batch)
    taken = [lengths[p] for p in batch]
    assert len(batch) == 1 or sum(taken) + padding_tokens(taken, bucket_tokens) <= max_tokens


@given(LENGTHS, BUDGETS, st.sampled_from([8, 16]))
def test_texts_of_a_bucketed_batch_have_one_padded_length(
    lengths: list[int], max_tokens: int, bucket_tokens: int
) -> None:
    batch = choose_batch(lengths, max_tokens, bucket_tokens)
    assert {padded(lengths[p], bucket_tokens) for p in batch} == {padded(lengths[0], bucket_tokens)}


@given(LENGTHS, BUDGETS)
def test_a_batch_leaves_nothing_out_that_fits_between_its_lengths(lengths: list[int], max_tokens: int) -> None:
    batch = choose_batch(lengths, max_tokens)
    taken = [lengths[p] for p in batch]
    left = [length for position, length in enumerate(lengths) if position not in batch]
    assert not [length for length in left if min(taken) < length < max(taken)]


@given(LENGTHS, BUDGETS, BUCKETS)
def test_batch_after_batch_takes_every_text_exactly_once(
    lengths: list[int], max_tokens: int, bucket_tokens: int
) -> None:
    waiting = list(range(len(lengths)))
    taken: list[int] = []
    while waiting:
        batch = choose_batch([lengths[p] for p in waiting], max_tokens, bucket_tokens)
        taken += [waiting[p] for p in batch]
        waiting = [p for position, p in enumerate(waiting) if position not in batch]
    assert sorted(taken) == list(range(len(lengths)))


@given(st.lists(st.floats(0.001, 0.3), min_size=1, max_size=200), st.floats(0.01, BULK_BATCH_S))
def test_while_both_lanes_wait_each_has_its_share_of_the_time(interactive_s: list[float], bulk_s: float) -> None:
    owed_s = 0.0
    used = dict.fromkeys(Lane, 0.0)
    for seconds in interactive_s:
        lane = choose_lane(interactive=True, bulk=True, owed_s=owed_s, bulk_batch_s=BULK_BATCH_S)
        assert lane is not None
        took = seconds if lane is Lane.INTERACTIVE else bulk_s
        used[lane] += took
        owed_s = owed_after(owed_s, lane, took, bulk_waits=True)
    due_s = used[Lane.INTERACTIVE] * BULK_SHARE / (1 - BULK_SHARE)
    slack_s = BULK_BATCH_S + max(interactive_s)  # one batch of each lane, as none is interrupted
    assert due_s - slack_s <= used[Lane.BULK] <= due_s + 1e-9
