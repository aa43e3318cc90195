"""How many texts are embedded at the same time, for one client and for all."""

import pytest

from sidecar.bridge.embed_limits import IN_ALL, PER_CLIENT, EmbedLimits, Load, TooManyTexts

HALF = Load(PER_CLIENT.texts // 2, PER_CLIENT.tokens // 2)


@pytest.mark.parametrize("more", [Load(1, 0), Load(0, 1)], ids=["texts", "tokens"])
def test_a_client_has_a_limit_and_others_are_not_touched(more: Load) -> None:
    limits = EmbedLimits()
    with limits.taken("ada", HALF), limits.taken("ada", HALF), limits.taken("bob", HALF):
        with pytest.raises(TooManyTexts, match="at the same time for one client"), limits.taken("ada", more):
            pass
        with limits.taken("bob", more):
            pass


def test_all_clients_together_have_a_limit() -> None:
    limits = EmbedLimits()
    with (
        limits.taken("ada", IN_ALL),
        pytest.raises(TooManyTexts, match="for all clients"),
        limits.taken("bob", Load(1, 1)),
    ):
        pass


def test_a_load_alone_is_never_too_large_and_leaves_nothing_behind() -> None:
    limits = EmbedLimits()
    for number in range(3):
        with limits.taken(f"client {number}", IN_ALL + Load(1, 1)):
            pass
    with pytest.raises(ValueError, match="failed"), limits.taken("ada", HALF):
        raise ValueError("failed")

    assert (limits._by_client, limits._all) == ({}, Load())
