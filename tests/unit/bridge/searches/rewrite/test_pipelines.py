"""The search pipeline that a rewritten search runs through."""

import pytest

from sidecar.bridge.bindings.indices import BoundIndex
from sidecar.bridge.searches.outcome import Reason
from sidecar.bridge.searches.rewrite.plan import (
    TextSearch,
    plan_search,
    rewrite,
    with_pipeline,
)
from tests.support.bindings import an_index
from tests.unit.bridge.searches.rewrite.test_plan import MATCH, PAPERS, lexical

OWN = {"phase_results_processors": [{"score-ranker-processor": {}}], "response_processors": [{"rename_field": {}}]}


@pytest.mark.parametrize(
    ("body", "url", "indices", "found"),
    [
        pytest.param({}, {}, PAPERS, None, id="none"),
        pytest.param({"search_pipeline": "p"}, {}, PAPERS, "p", id="by name in the body"),
        pytest.param({"search_pipeline": "p"}, {"search_pipeline": "q"}, PAPERS, "q", id="by name in the URL"),
        pytest.param({"search_pipeline": OWN}, {}, PAPERS, OWN, id="inline"),
        pytest.param({}, {}, (an_index(search_pipeline="own"),), "own", id="the index's own"),
        pytest.param({"search_pipeline": "_none"}, {}, (an_index(search_pipeline="own"),), None, id="switched off"),
        pytest.param({}, {}, (an_index(search_pipeline="a"), an_index("b")), "a", id="that of one index of two"),
        pytest.param({}, {}, (an_index(search_pipeline="a"), an_index("b", search_pipeline="b")), None,
                     id="two different: the cluster applies neither"),
        pytest.param({}, {}, (an_index(search_pipeline="_none"),), None, id="none by name"),
    ],
)  # fmt: skip
def test_the_pipeline_that_a_search_runs_through(
    body: dict[str, object], url: dict[str, str], indices: tuple[BoundIndex, ...], found: object
) -> None:
    plan = plan_search({"query": MATCH, **body}, indices, None, url)

    assert isinstance(plan, TextSearch)
    assert plan.pipeline == found


def test_a_search_that_names_no_index_has_no_default_pipeline() -> None:
    plan = plan_search({"query": MATCH}, (an_index(search_pipeline="own"),), None, {}, names_indices=False)

    assert isinstance(plan, TextSearch)
    assert plan.pipeline is None


@pytest.mark.parametrize(
    "definition",
    [
        pytest.param(None, id="not there, or not to be read"),
        pytest.param({"request_processors": [{"filter_query": {}}]}, id="would put hybrid inside bool"),
        pytest.param({"response_processors": "x"}, id="not a pipeline"),
    ],
)
def test_a_pipeline_that_cannot_be_composed_keeps_the_search_lexical(definition: object) -> None:
    plan = plan_search({"query": MATCH, "search_pipeline": "p"}, PAPERS, None, {})

    assert isinstance(plan, TextSearch)
    assert with_pipeline(plan, definition) == lexical(Reason.SEARCH_PIPELINE)


def test_a_pipeline_that_normalises_fuses_in_its_own_way() -> None:
    plan = plan_search({"query": MATCH, "search_pipeline": "p"}, PAPERS, None, {})
    assert isinstance(plan, TextSearch)

    composed = with_pipeline(plan, OWN)

    assert isinstance(composed, TextSearch)
    assert composed.note == "hybrid; model=m@1; fusion=own; where=cluster"
    assert rewrite({"query": MATCH, "search_pipeline": "p"}, composed, ([1.0, 0.0],), PAPERS)["search_pipeline"] == OWN


def test_a_pipeline_without_a_normaliser_gets_ours() -> None:
    plan = plan_search({"query": MATCH, "search_pipeline": "p"}, PAPERS, None, {})
    assert isinstance(plan, TextSearch)
    own = {"description": "d", "version": 1, "request_processors": [{"neural_query_enricher": {}}]}

    composed = with_pipeline(plan, own)
    assert isinstance(composed, TextSearch)
    sent = rewrite({"query": MATCH, "search_pipeline": "p"}, composed, ([1.0, 0.0],), PAPERS)["search_pipeline"]

    assert isinstance(sent, dict)
    assert sent.keys() == {"request_processors", "phase_results_processors"}
    assert sent["request_processors"] == own["request_processors"]
