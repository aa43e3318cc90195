"""The pipeline of an item is the one that the cluster reads from its action line."""

import pytest

from sidecar.bridge.writes.bulk_action import Action
from sidecar.bridge.writes.bulk_body import BulkItem
from sidecar.bridge.writes.ingest_pipelines import ItemEffects
from sidecar.bridge.writes.pipeline_effects import Effect


@pytest.mark.parametrize(("written", "name"), [("true", "true"), ("1e3", "1e3"), ('"clean"', "clean")])
def test_the_name_of_a_pipeline_may_be_no_string(written: str, name: str) -> None:
    effects = ItemEffects(by_name={("papers", name): Effect.MOVES})
    line = f'{{"index":{{"pipeline":{written}}}}}'.encode()

    assert effects.of(BulkItem(Action.INDEX, "papers", None, line, b"{}")) is Effect.MOVES
