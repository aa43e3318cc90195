import asyncio
import socket

import pytest

from sidecar.errors import ClusterUnreachable
from sidecar.opensearch.client import OpenSearchCluster


async def test_success_keeps_its_status_and_body(cluster: OpenSearchCluster, unique: str) -> None:
    created = await cluster.call("PUT", f"/{unique}/_doc/1", body={"text": "a"})
    assert (created.status, created.body["result"]) == (201, "created")
    read = await cluster.call("GET", f"/{unique}/_doc/1", params={"_source_includes": "text"})
    assert (read.status, read.body["_source"]) == (200, {"text": "a"})


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "reason"),
    [
        pytest.param("GET", "/{}", None, 404, "index_not_found_exception: no such index [{}]", id="missing index"),
        pytest.param(
            "GET", "/_search", {"query": {"x": {}}}, 400, "parsing_exception: unknown query [x]", id="bad query"
        ),
        pytest.param(
            "POST", "/_bulk", b"{}", 400, "illegal_argument_exception: The bulk request must be", id="bad bulk"
        ),
        pytest.param("PUT", "/_search", {}, 405, "Incorrect HTTP method for uri [/_search]", id="wrong method"),
    ],
)
async def test_error_status_is_a_reply_with_the_clusters_words(  # noqa: PLR0917 - a table
    cluster: OpenSearchCluster, unique: str, method: str, path: str, body: object, status: int, reason: str
) -> None:
    reply = await cluster.call(method, path.format(unique), body=body)
    assert (reply.status, reply.ok) == (status, False)
    assert reply.reason.startswith(reason.format(unique))


@pytest.mark.parametrize(
    ("path", "status"), [pytest.param("/", 200, id="there"), pytest.param("/missing-index", 404, id="not there")]
)
async def test_head_has_a_status_and_no_body(cluster: OpenSearchCluster, path: str, status: int) -> None:
    reply = await cluster.call("HEAD", path)
    assert (reply.status, reply.body) == (status, None)


async def test_bytes_go_out_as_ndjson(cluster: OpenSearchCluster, unique: str) -> None:
    lines = b'{"index":{"_id":"1"}}\n{"text":"a"}\n'
    reply = await cluster.call("POST", f"/{unique}/_bulk", body=lines)
    assert reply.ok
    assert reply.body["errors"] is False


async def test_percent_encoded_path_stays_as_it_is(cluster: OpenSearchCluster, unique: str) -> None:
    written = await cluster.call("PUT", f"/{unique}/_doc/a%2Fb%25", body={"text": "a"})
    assert written.body["_id"] == "a/b%"


async def test_lone_surrogate_survives_both_ways(cluster: OpenSearchCluster, unique: str) -> None:
    await cluster.call("PUT", f"/{unique}/_doc/1", body={"text": "a\ud800b"})
    read = await cluster.call("GET", f"/{unique}/_doc/1")
    assert read.body["_source"]["text"] == "a\ud800b"


async def test_answer_that_is_not_json_is_text(cluster: OpenSearchCluster) -> None:
    reply = await cluster.call("GET", "/_cat/plugins")
    assert "opensearch-knn" in reply.body  # type: ignore[operator]


async def test_headers_of_the_caller_win(cluster: OpenSearchCluster) -> None:
    reply = await cluster.call("POST", "/_bulk", body=b"text", headers={"Content-Type": "text/plain"})
    assert reply.status == 406
    assert "text/plain" in reply.reason


async def test_warning_of_the_cluster_is_no_exception(cluster: OpenSearchCluster, unique: str) -> None:
    reply = await cluster.call("PUT", f"/.{unique}")  # the node warns of names that begin with a dot
    assert reply.ok


async def test_no_answer_is_an_error_that_names_the_address() -> None:
    async with OpenSearchCluster("http://127.0.0.1:1") as nobody:
        with pytest.raises(
            ClusterUnreachable, match=r"no answer from the cluster at http://127.0.0.1:1: Cannot connect"
        ):
            await nobody.call("GET", "/")


async def test_silence_is_an_error_after_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with OpenSearchCluster(address(silent), timeout_s=0.05) as cluster:
            with pytest.raises(ClusterUnreachable, match=r"nothing came within 0.05 s"):
                await cluster.call("GET", "/")


async def test_cancellation_passes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)
        async with OpenSearchCluster(address(silent)) as cluster:
            call = asyncio.ensure_future(cluster.call("GET", "/"))
            connection, _ = await asyncio.get_running_loop().sock_accept(silent)
            with connection:
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call


def address(listener: socket.socket) -> str:
    host, port = listener.getsockname()
    return f"http://{host}:{port}"
