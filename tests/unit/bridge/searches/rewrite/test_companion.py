"""When a search takes the companion along: one row per rule."""

import pytest

from sidecar.bridge.searches.rewrite.companion import fits, wanted_companion, with_companion
from sidecar.model import SearchBinding
from tests.support.bindings import an_index, an_unbound_index, bound

BINDING = bound(search=SearchBinding(field="embedding", companion="papers--companion"))
TITLE = frozenset({("title", "text")})
ONE = an_index(binding=BINDING, shards=1, mapped=TITLE)
TWO = an_index(binding=BINDING, shards=2, mapped=TITLE)
COMPANION = an_index("papers--companion", BINDING, shards=1, mapped=TITLE)
MATCH = {"match": {"title": "dogs"}}


@pytest.mark.parametrize(
    ("indices", "url", "expected"),
    [
        pytest.param((ONE,), {}, "papers--companion", id="one shard"),
        pytest.param((ONE,), {"preference": "_local"}, "papers--companion", id="a preference that any shard can meet"),
        pytest.param((ONE,), {"preference": "_only_nodes:a"}, None, id="nodes that may not have it"),
        pytest.param((TWO,), {}, None, id="two shards"),
        pytest.param((TWO,), {"routing": "a"}, "papers--companion", id="one of two, by routing"),
        pytest.param((TWO,), {"routing": "a,b"}, None, id="two of two, by routing"),
        pytest.param((ONE, ONE), {}, None, id="two indices"),
        pytest.param((an_index(shards=1),), {}, None, id="a template without companion"),
        pytest.param((an_unbound_index(),), {}, None, id="unbound"),
        pytest.param((an_index(binding=BINDING),), {}, None, id="a number of shards that was not told"),
    ],
)
def test_exactly_one_shard_wants_a_companion(indices: tuple, url: dict[str, str], expected: str | None) -> None:
    assert wanted_companion(indices, url) == expected


DYNAMIC = an_index(binding=BINDING, shards=1, mapped=TITLE | {("year", "long")})


@pytest.mark.parametrize(
    ("companion", "index", "query", "expected"),
    [
        pytest.param((COMPANION,), ONE, {"nested": {}}, True, id="the same mapping: any query"),
        pytest.param((), ONE, MATCH, False, id="not there, or not to be read"),
        pytest.param((an_index("papers--companion", bound(), mapped=TITLE),), ONE, MATCH, False, id="another binding"),
        pytest.param((COMPANION,), DYNAMIC, MATCH, True, id="a field more, harmless query"),
        pytest.param((COMPANION,), DYNAMIC, {"bool": {"must": [MATCH], "filter": {"range": {"year": {"gte": 1}}}}}, True,
                     id="harmless inside bool"),
        pytest.param((COMPANION,), DYNAMIC, {"constant_score": {"filter": {"term": {"year": 1}}}}, True,
                     id="constant_score"),
        pytest.param((COMPANION,), DYNAMIC, {"bool": {"filter": [{"nested": {"path": "n", "query": MATCH}}]}}, False,
                     id="nested fails on an unmapped path"),
        pytest.param((COMPANION,), DYNAMIC, {"geo_distance": {}}, False, id="geo_distance"),
        pytest.param((COMPANION,), DYNAMIC, {"bool": []}, False, id="not a query"),
        pytest.param((COMPANION,), DYNAMIC, None, True, id="no filter"),
    ],
)  # fmt: skip
def test_the_companion_must_read_the_query_as_the_index_does(
    companion: tuple,
    index: object,
    query: object,
    expected: bool,
) -> None:
    assert fits(companion, index, (query,)) is expected


def test_the_companion_is_added_to_the_raw_path() -> None:
    assert with_companion("/caf%C3%A9/_search", "p--companion") == "/caf%C3%A9,p--companion/_search"
    assert with_companion("/a/_search/", "b") == "/a,b/_search/"
