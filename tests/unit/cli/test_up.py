"""What `up` sets for its parts."""

import pytest

from sidecar.cli.up import keep_searches_patient
from sidecar.config import load_configuration

BUDGET = "SIDECAR_BRIDGE_SEARCH_EMBED_TIMEOUT_S"


@pytest.mark.parametrize(
    ("set_to", "seconds"),
    [
        pytest.param(None, 10.0, id="not set: everything on one machine is slow"),
        pytest.param("0.3", 0.3, id="set: as it is"),
    ],
)
def test_searches_wait_for_their_vector_unless_the_budget_is_set(
    monkeypatch: pytest.MonkeyPatch, set_to: str | None, seconds: float
) -> None:
    monkeypatch.setenv(BUDGET, set_to or "")
    if set_to is None:
        monkeypatch.delenv(BUDGET)

    keep_searches_patient(load_configuration())

    assert load_configuration().settings.bridge.search_embed_timeout_s == seconds


def test_a_production_bridge_holds_a_search_up_for_200_ms_at_most() -> None:
    assert load_configuration().settings.bridge.search_embed_timeout_s == 0.2
