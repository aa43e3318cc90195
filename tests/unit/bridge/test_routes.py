"""Requests are told apart exactly as OpenSearch's router tells them apart."""

import pytest

from sidecar.bridge.routes import (
    Bulk,
    Document,
    MultiRead,
    MultiSearch,
    PassThrough,
    Plugin,
    Read,
    Search,
    Update,
    is_plain_read,
    route,
)

UNCHANGING = PassThrough(changes_bindings=False)
CHANGING = PassThrough(changes_bindings=True)


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        pytest.param("POST", "/_bulk", Bulk(None), id="bulk"),
        pytest.param("PUT", "/_bulk", Bulk(None), id="bulk may be put"),
        pytest.param("GET", "/_bulk", UNCHANGING, id="bulk cannot be got"),
        pytest.param("POST", "/_bulk///", Bulk(None), id="trailing slashes vanish"),
        pytest.param("POST", "//_bulk", UNCHANGING, id="inner empty tokens do not vanish"),
        pytest.param("POST", "/%5Fbulk", UNCHANGING, id="a fixed token is not decoded"),
        pytest.param("POST", "/papers/_bulk", Bulk("papers"), id="bulk with an index"),
        pytest.param("POST", "/%3Clogs-%7Bnow%2Fd%7D%3E/_bulk", Bulk("<logs-{now/d}>"), id="an index is decoded"),
        pytest.param("POST", "/_bulk/stream", UNCHANGING, id="streaming bulk is not served on this node"),
        pytest.param("POST", "/papers/_doc", Document("papers"), id="document without an id"),
        pytest.param("PUT", "/papers/_doc", UNCHANGING, id="a put needs an id"),
        pytest.param("PUT", "/papers/_doc/1", Document("papers"), id="document"),
        pytest.param("POST", "/papers/_create/1", Document("papers"), id="create"),
        pytest.param("POST", "/papers/_create", UNCHANGING, id="create needs an id"),
        pytest.param("POST", "/papers/_update/a%2Fb", Update("papers", "a/b"), id="update"),
        pytest.param("PUT", "/papers/_update/1", UNCHANGING, id="an update cannot be put"),
        pytest.param("DELETE", "/papers/_doc/1", UNCHANGING, id="delete of a document"),
        pytest.param("GET", "/papers/_doc/1", Read("papers"), id="read"),
        pytest.param("GET", "/papers/_source/1", Read("papers"), id="read of the source"),
        pytest.param("POST", "/papers/_mget", MultiRead("papers"), id="several reads"),
        pytest.param("POST", "/_mget", MultiRead(None), id="several reads of any index"),
        pytest.param("GET", "/papers/_explain/1", Read("papers", shows_source=False), id="explanation of a hit"),
        pytest.param("GET", "/_all/_search", Search("_all"), id="search of every index by name"),
        pytest.param("POST", "/_all/_msearch/template", MultiSearch("_all", is_template=True), id="the same, several"),
        pytest.param("GET", "/_all/_doc/1", Read("_all"), id="read of the only index"),
        pytest.param("PUT", "/_all/_doc/1", UNCHANGING, id="no write has this name"),
        pytest.param("GET", "/_other/_search", UNCHANGING, id="no index has this name"),
        pytest.param("POST", "/papers/_search", Search("papers"), id="search"),
        pytest.param("GET", "/papers,notes*/_search", Search("papers,notes*"), id="search of an expression"),
        pytest.param("GET", "/_search", Search(None), id="search of everything"),
        pytest.param("DELETE", "/papers/_search", UNCHANGING, id="no such search"),
        pytest.param("POST", "/papers/_search/template", Search("papers", is_template=True), id="template search"),
        pytest.param("GET", "/_search/template", Search(None, is_template=True), id="template search of everything"),
        pytest.param("POST", "/papers/_msearch", MultiSearch("papers"), id="several searches"),
        pytest.param("GET", "/_msearch", MultiSearch(None), id="several searches, each of its own index"),
        pytest.param("POST", "/_msearch/template", MultiSearch(None, is_template=True), id="several templates"),
        pytest.param("POST", "/_search/scroll", UNCHANGING, id="next page of a scroll"),
        pytest.param("POST", "/papers/_search/point_in_time", UNCHANGING, id="point in time"),
        pytest.param("PUT", "/_search/pipeline/p", CHANGING, id="search pipeline put"),
        pytest.param("POST", "/papers/_count", UNCHANGING, id="count"),
        pytest.param("POST", "/papers/_delete_by_query", UNCHANGING, id="delete by query is never rewritten"),
        pytest.param("GET", "/_cat/indices", UNCHANGING, id="cat"),
        pytest.param("GET", "/", UNCHANGING, id="root"),
        pytest.param("GET", "/_plugins/_sidecar", Plugin(()), id="plugin root"),
        pytest.param("GET", "/_plugins/_sidecar/bindings/a%2Cb", Plugin(("bindings", "a,b")), id="plugin call"),
        pytest.param("GET", "/_plugins/_knn/stats", UNCHANGING, id="another plugin"),
        pytest.param("PUT", "/papers", CHANGING, id="index created"),
        pytest.param("DELETE", "/papers", CHANGING, id="index deleted"),
        pytest.param("GET", "/papers", UNCHANGING, id="index looked at"),
        pytest.param("PUT", "/papers/_mapping", CHANGING, id="mapping changed"),
        pytest.param("GET", "/papers/_mapping", UNCHANGING, id="mapping looked at"),
        pytest.param("POST", "/_aliases", CHANGING, id="aliases switched"),
        pytest.param("PUT", "/_index_template/t", CHANGING, id="template put"),
        pytest.param("POST", "/papers/_rollover", CHANGING, id="rollover"),
        pytest.param("POST", "/_snapshot/r/s/_restore", CHANGING, id="restore"),
    ],
)
def test_route(method: str, path: str, expected: object) -> None:
    assert route(method, path) == expected


@pytest.mark.parametrize(
    ("method", "path", "query", "is_plain"),
    [
        ("GET", "/", "", True),
        ("HEAD", "/papers", "", True),
        ("GET", "/papers/_count", "q=x", True),
        ("POST", "/papers/_count", "", True),
        ("POST", "/_search/scroll", "", True),
        ("GET", "/_cat/indices/", "v", True),
        ("GET", "/_cluster/health", "", False),
        ("GET", "/_cluster/health/papers", "wait_for_status=green&timeout=1h", False),
        ("GET", "/_cluster/state", "wait_for_metadata_version=9", False),
        ("GET", "/_tasks/a:1", "wait_for_completion=true", False),
        ("GET", "/_snapshot/here/all/_status", "", False),
        ("GET", "/_plugins/_asynchronous_search/x", "", False),
        ("POST", "/_reindex", "", False),
        ("POST", "/papers/_update_by_query", "", False),
        ("POST", "/papers/_delete_by_query", "", False),
        ("POST", "/papers/_forcemerge", "", False),
        ("POST", "/papers/_anything_new", "", False),
        ("PUT", "/papers", "", False),
        ("DELETE", "/papers/_search", "", False),
    ],
)
def test_a_plain_read_waits_for_nothing(method: str, path: str, query: str, is_plain: bool) -> None:
    assert is_plain_read(method, path, query) is is_plain
