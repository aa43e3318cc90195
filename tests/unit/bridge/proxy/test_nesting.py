"""Levels that end a node of 2.19 are refused in the words of 3.x."""

import pytest

from sidecar.bridge.proxy.errors import error_answer
from sidecar.bridge.proxy.nesting import NestedTooDeeply, refuse_deep_nesting
from sidecar.bridge.proxy.spool import Spool


def nested(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


async def read(*pieces: bytes) -> None:
    with Spool() as text:
        for piece in pieces:
            text.write(piece)
        await refuse_deep_nesting(text)


async def test_as_many_levels_as_the_cluster_takes_pass() -> None:
    await read(nested(1_000))
    await read(b"[]" * 100_000)
    await refuse_deep_nesting(None)


@pytest.mark.parametrize("before", [0, 2_000_000], ids=["small", "in a file"])
async def test_one_level_more_is_refused(before: int) -> None:
    with pytest.raises(NestedTooDeeply):
        await read(b" " * before, nested(1_001))


def test_the_refusal_is_that_of_opensearch_3() -> None:
    answer = error_answer(NestedTooDeeply())
    assert answer.status == 400
    assert isinstance(answer.body, bytes)
    assert b'"type":"stream_constraints_exception","reason":"Document nesting depth (1001) exceeds' in answer.body
