from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.rpc.replies import Limits, split
from sidecar.rpc.streaming import async_batches, batches

LIMITS = Limits(max_texts=3, max_part_bytes=10, max_text_bytes=20)


@pytest.mark.parametrize(
    ("texts", "cut"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param(["a"] * 7, [["a"] * 3, ["a"] * 3, ["a"]], id="by number"),
        pytest.param(["a" * 6, "b" * 4, "c"], [["a" * 6, "b" * 4], ["c"]], id="by bytes"),
        pytest.param(["a", "b" * 15, "c"], [["a"], ["b" * 15], ["c"]], id="a long text travels alone"),
        pytest.param(["\ud800"], [["?"]], id="a lone surrogate cannot be sent"),
        pytest.param(["a", "b" * 25, "c"], [["a", "b" * 25, "c"]], id="one that is never sent takes no room"),
    ],
)
async def test_how_a_source_is_cut(texts: list[str], cut: list[list[str]]) -> None:
    async def slowly() -> AsyncIterator[str]:
        for text in texts:
            yield text

    assert list(batches(texts, LIMITS)) == cut
    assert [batch async for batch in async_batches(texts, LIMITS)] == cut
    assert [batch async for batch in async_batches(slowly(), LIMITS)] == cut


@given(st.lists(st.text(max_size=25)))
def test_every_text_is_in_one_batch_and_every_batch_is_one_message(texts: list[str]) -> None:
    cut = list(batches(texts, LIMITS))
    assert [text for batch in cut for text in batch] == texts
    assert all(len(list(split(batch, LIMITS))) <= 1 for batch in cut)
