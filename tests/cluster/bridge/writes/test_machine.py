"""Any sequence of writes through the bridge ends as a model says; `make soak` plays longer ones."""

from sidecar.models.catalogue import shipped_versions
from tests.support.machine import run_machine


async def test_whatever_is_written_in_whatever_order_each_text_has_its_vector_or_a_mark(
    node_url: str, unique: str
) -> None:
    await run_machine(node_url, shipped_versions()["all-minilm-l6-v2@1"], unique, runs=25, steps=20)
