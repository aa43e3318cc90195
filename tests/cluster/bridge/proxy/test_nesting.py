"""No request that the bridge passes on ends a node with levels of JSON."""

import pytest

from tests.cluster.bridges import Papers

DEEP = b'{"query":' + b'{"bool":{"must":' * 10_000 + b'{"match_all":{}}' + b"}}" * 10_000 + b"}"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "{index}/_count"),
        ("POST", "{index}/_validate/query"),
        ("POST", "{index}/_explain/1"),
        ("GET", "{index}/_doc/1"),
        ("POST", "{index}/_mget"),
        ("POST", "{index}/_search"),
        ("POST", "{index}/_search/template"),
        ("POST", "{index}/_msearch"),
        ("POST", "{index}/_delete_by_query"),
        ("POST", "{index}/_update_by_query"),
        ("POST", "{index}/_rank_eval"),
        ("POST", "_reindex"),
        ("POST", "_aliases"),
        ("PUT", "_scripts/deep"),
        ("PUT", "{index}/_mapping"),
        ("PUT", "deep-{index}"),
        ("POST", "_render/template"),
        ("PUT", "_ingest/pipeline/deep"),
    ],
)
async def test_levels_that_would_end_the_node_are_refused_on_every_route(
    papers: Papers, method: str, path: str
) -> None:
    answer = await papers.bridge(method, "/" + path.format(index=papers.index), DEEP)

    assert (answer.status, answer.json["error"]["type"]) == (400, "stream_constraints_exception")


async def test_what_the_cluster_takes_is_passed_on(papers: Papers) -> None:
    body = {"query": {"match": {"title": "[{" * 2_000}}}
    answer = await papers.bridge("POST", f"/{papers.index}/_count", body)

    assert (answer.status, answer.json["count"]) == (200, 0)
