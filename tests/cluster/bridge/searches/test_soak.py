"""A sample of the searches of `make soak`, always the same."""

from sidecar.opensearch.client import OpenSearchCluster
from tests.soak.filters import filtered, filtered_searches
from tests.soak.pages import differing_pages
from tests.support.corpus import corpus


async def test_no_hit_is_outside_the_clients_own_filters(node_url: str, unique: str) -> None:
    async with filtered(node_url, unique) as where:
        tally = await filtered_searches(where, seed=1, count=200)

    assert tally.wider == []
    assert tally.hits > tally.searches
    assert {"hybrid", "neural"} <= tally.modes.keys()
    assert tally.modes["hybrid"] > tally.searches / 2


async def test_beside_updates_every_page_is_what_the_full_legs_give(cluster: OpenSearchCluster, unique: str) -> None:
    async with corpus(cluster, unique, 5, 2, 1) as made:
        assert await differing_pages(made, 20) == []
