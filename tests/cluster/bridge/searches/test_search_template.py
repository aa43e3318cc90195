"""Search templates through the bridge."""

import pytest

from tests.cluster.bridge.searches.test_search_handler_forms import (
    HYBRID,
    QUERY,
    note,
    one_shard,  # noqa: F401 - fixtures
)
from tests.cluster.bridges import Papers
from tests.support.http import ndjson

TEMPLATE = {
    "source": {"query": {"match": {"title": "{{words}}"}}, "size": "{{size}}"},
    "params": {"words": "kitty noises", "size": 2},
}


async def test_a_template_is_rendered_and_then_searched_by_meaning(one_shard: Papers) -> None:
    rendered = await one_shard.bridge("POST", f"/{one_shard.index}/_search/template", TEMPLATE)
    several = await one_shard.bridge("POST", f"/{one_shard.index}/_msearch/template", ndjson({}, TEMPLATE))
    plain = await one_shard.bridge("POST", f"/{one_shard.index}/_search", {"query": QUERY, "size": 2})

    assert (note(rendered), note(several)) == (f"{HYBRID}+companion", "msearch; hybrid=1")
    assert rendered.json["hits"] == several.json["responses"][0]["hits"] == plain.json["hits"]


@pytest.mark.parametrize("kind", ["_search", "_msearch"])
async def test_a_template_that_does_not_render_is_the_clusters_to_refuse(one_shard: Papers, kind: str) -> None:
    body = {"id": "missing", "params": {}}
    sent: object = body if kind == "_search" else ndjson({}, body)

    through = await one_shard.bridge("POST", f"/{one_shard.index}/{kind}/template", sent)
    direct = await one_shard.direct("POST", f"/{one_shard.index}/{kind}/template", sent)

    assert (through.status, {**through.json, "took": 0}) == (direct.status, {**direct.json, "took": 0})
