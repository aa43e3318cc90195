from threading import get_ident

import pytest

from sidecar.threads import off_the_loop


@pytest.mark.parametrize(
    ("weight", "is_here"),
    [pytest.param(0, True, id="quick"), pytest.param(10_000_000, False, id="heavy")],
)
async def test_only_heavy_work_goes_to_a_thread(weight: int, is_here: bool) -> None:
    assert (await off_the_loop(weight, get_ident) == get_ident()) is is_here


async def test_arguments_are_handed_on() -> None:
    assert await off_the_loop(0, sorted, [1, 2], reverse=True) == [2, 1]
