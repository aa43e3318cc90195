from hypothesis import given
from hypothesis import strategies as st

from sidecar.rpc.replies import Limits, split


@given(
    st.lists(st.text(max_size=30), max_size=40),
    st.builds(
        Limits, max_texts=st.integers(1, 10), max_part_bytes=st.integers(1, 60), max_text_bytes=st.integers(0, 60)
    ),
)
def test_every_text_that_may_be_sent_is_in_exactly_one_part_in_order(texts: list[str], limits: Limits) -> None:
    parts = list(split(texts, limits))
    sizes = [len(text.encode()) for text in texts]
    assert [p for part in parts for p in part.positions] == [
        p for p, size in enumerate(sizes) if size <= limits.max_text_bytes
    ]
    for part in parts:
        assert 1 <= len(part.texts) <= limits.max_texts
        assert len(part.texts) == 1 or sum(sizes[p] for p in part.positions) <= limits.max_part_bytes
