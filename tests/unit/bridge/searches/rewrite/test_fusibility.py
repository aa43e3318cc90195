"""Which searches the bridge can fuse."""

from typing import Any

import pytest

from sidecar.bridge.searches.rewrite.fusibility import can_fuse
from tests.support.bindings import an_index
from tests.unit.bridge.searches.fusion.test_legs import QUERY


@pytest.mark.parametrize(
    ("body", "url", "shards", "fuses"),
    [
        pytest.param({"query": QUERY, "aggs": {}, "highlight": {}, "post_filter": {}}, {"routing": "r"}, 5, True,
                     id="what is understood"),
        pytest.param({"query": QUERY, "collapse": {}}, {}, 5, False, id="an option of the body that is not"),
        pytest.param({"query": QUERY}, {"format": "yaml"}, 5, False, id="a parameter that is not"),
        pytest.param({"query": QUERY}, {"preference": "_shards:1"}, 5, False, id="shards of the client's choice"),
        pytest.param({"query": QUERY}, {}, 0, False, id="shards not known"),
        pytest.param({"query": QUERY}, {}, 65, False, id="too many shards"),
    ],
)  # fmt: skip
def test_what_the_bridge_can_fuse(body: dict[str, Any], url: dict[str, str], shards: int, fuses: bool) -> None:
    assert can_fuse(body, url, (an_index(shards=shards),)) is fuses
