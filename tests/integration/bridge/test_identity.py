"""Who the client is, and nothing else about it, goes with every request that the bridge makes for this client."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from sidecar.bridge.app import serving
from sidecar.config import split_address
from tests.soak.filters import MINILM
from tests.support.between import bridge_settings
from tests.support.bindings import a_binding, bound
from tests.support.embedders import HashEmbedder
from tests.support.http import Http, http, ndjson

BINDING = bound(a_binding(source=("title",), model=MINILM.id, space=MINILM.space))
MAPPINGS = {
    "_meta": {"sidecar": BINDING.to_meta()},
    "properties": {
        "title": {"type": "text"},
        "embedding": {"type": "knn_vector", "dimension": BINDING.fields["embedding"].dimension},
        "embedding_meta": {"type": "object"},
    },
}
DESCRIBED = {"papers": {"mappings": MAPPINGS, "settings": {"index": {"number_of_shards": "2"}}}}


@dataclass
class Recorded:
    """A cluster that shows its index only to Ada, and notes how each request arrived."""

    bridge: Http
    heads: list[tuple[str, dict[str, str]]] = field(default_factory=list)  # target, headers


@pytest.fixture
async def recorded() -> AsyncIterator[Recorded]:
    heads: list[tuple[str, dict[str, str]]] = []

    async def answer(request: web.BaseRequest) -> web.Response:
        heads.append((request.raw_path, {name.decode(): value.decode() for name, value in request.raw_headers}))
        is_ada = "jwt=ada" in request.raw_path or request.headers.get("X-JWT") == "ada"
        if request.method == "GET" and request.path == "/papers":
            return web.json_response(DESCRIBED if is_ada else {}, status=200 if is_ada else 403)
        if request.path.endswith("authinfo"):
            return web.json_response({"user_name": "?"})
        return web.json_response({"hits": {"hits": []}, "items": [], "took": 0, "errors": False})

    cluster = web.ServerRunner(web.Server(answer))
    await cluster.setup()
    site = web.TCPSite(cluster, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    options = {"identity_headers": ["X-JWT"], "identity_parameters": ["jwt"]}
    async with (
        serving(bridge_settings(f"http://127.0.0.1:{port}", **options), HashEmbedder(MINILM)) as at,
        http(f"http://{at.address}") as (bridge,),
    ):
        yield Recorded(bridge, heads)
    await cluster.cleanup()


REQUESTS = [
    pytest.param("_search", {"query": {"match": {"title": "cats"}}}, id="_search"),
    pytest.param("_search", {"query": {"match": {"title": "cats"}}, "aggs": {"n": {"terms": {"field": "n"}}}},
                 id="fused in the bridge"),
    pytest.param("_search/template", {"source": {"query": {"match": {"title": "cats"}}}}, id="a template"),
    pytest.param("_msearch", ndjson({}, {"query": {"match": {"title": "cats"}}}), id="_msearch"),
    pytest.param("_bulk", ndjson({"index": {"_id": "1"}}, {"title": "cats"}), id="_bulk"),
    pytest.param("_bulk", ndjson({"update": {"_id": "1"}}, {"doc": {"title": "cats"}}), id="updates in a bulk"),
    pytest.param("_bulk", ndjson({"update": {"_id": "1"}}, {"script": "ctx.op = 'none'"}), id="scripts in a bulk"),
    pytest.param("_doc", {"title": "cats"}, id="_doc"),
    pytest.param("_update/1", {"doc": {"title": "cats"}}, id="_update"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body"), REQUESTS)
async def test_a_token_in_the_url_goes_with_every_request_for_the_client(
    recorded: Recorded, path: str, body: object
) -> None:
    await recorded.bridge("POST", f"/papers/{path}?jwt=ada", body)

    of_the_client = [target for target, _ in recorded.heads if not target.endswith("authinfo")]
    assert len(of_the_client) >= 2
    assert all("jwt=ada" in target for target in of_the_client)


@pytest.mark.parametrize(("path", "body"), REQUESTS)
async def test_a_header_of_the_settings_goes_with_every_request_for_the_client(
    recorded: Recorded, path: str, body: object
) -> None:
    await recorded.bridge("POST", f"/papers/{path}", body, X_JWT="ada")

    of_the_client = [headers for target, headers in recorded.heads if not target.endswith("authinfo")]
    assert len(of_the_client) >= 2
    assert all({name.lower(): value for name, value in headers.items()}["x-jwt"] == "ada" for headers in of_the_client)


@pytest.mark.parametrize("in_url", [True, False], ids=["URL", "header"])
async def test_what_is_remembered_of_one_token_serves_no_other(recorded: Recorded, in_url: bool) -> None:
    async def search(name: str) -> str:
        target, headers = ("?jwt=" + name, {}) if in_url else ("", {"X-JWT": name})
        body = {"query": {"match": {"title": "cats"}}}
        answer = await recorded.bridge.request("POST", f"/papers/_search{target}", body, headers)
        return answer.headers["X-Sidecar-Search"].partition(";")[0]

    assert [await search(name) for name in ("ada", "bob", "ada", "bob")] == ["hybrid", "lexical"] * 2


async def raw(bridge: Http, head: str) -> bytes:
    host, port = split_address(bridge.url.removeprefix("http://"))
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"{head}\r\nConnection: close\r\n\r\n".encode())
    async with asyncio.timeout(60):
        answer = await reader.read()
    writer.close()
    return answer


SIGNATURE = "AWS4-HMAC-SHA256 Credential=c/d/r/es/aws4_request, SignedHeaders=host;x-amz-date, Signature=s"


async def test_a_signed_request_passes_with_its_own_host_and_target(recorded: Recorded) -> None:
    target = "/_cat//indices/a%2fb?v=&h=a%20b+c&h=%7E"
    answer = await raw(
        recorded.bridge,
        f"GET {target} HTTP/1.1\r\nHost: search.example:443\r\nAuthorization: {SIGNATURE}\r\nX-Amz-Date: d",
    )

    assert answer.startswith(b"HTTP/1.1 200")
    ((arrived, headers),) = recorded.heads
    assert arrived == target
    assert (headers["Host"], headers["Authorization"], headers["X-Amz-Date"]) == ("search.example:443", SIGNATURE, "d")


@pytest.mark.parametrize(
    ("target", "authorization"),
    [
        ("/papers/_search", SIGNATURE),
        ("/papers/_search?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=s", "Basic x"),
        ("/papers/_doc/1", SIGNATURE),
        ("/_plugins/_sidecar/stats", SIGNATURE),
        ("/_cat/indices", SIGNATURE.replace("x-amz-date", "x-forwarded-for")),
    ],
)
async def test_a_signed_request_that_would_be_changed_is_refused(
    recorded: Recorded, target: str, authorization: str
) -> None:
    answer = await raw(recorded.bridge, f"GET {target} HTTP/1.1\r\nHost: a\r\nAuthorization: {authorization}")

    assert answer.startswith(b"HTTP/1.1 400")
    assert b'"type":"signed_request_not_rewritable"' in answer
    assert recorded.heads == []


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param("Authorization: Basic a\r\nauthorization: Basic b", id="two users"),
        pytest.param("securitytenant: a\r\nSecurityTenant: b", id="two tenants"),
        pytest.param("X-JWT: a\r\nx-jwt: b", id="two tokens"),
        pytest.param("securitytenant: a\r\nConnection: securitytenant", id="a tenant of one connection"),
        pytest.param("opendistro_security_impersonate_as: a\r\nConnection: Opendistro_Security_Impersonate_As",
                     id="a user to act for, of one connection"),
        pytest.param("x_proxy_user: admin", id="what some servers read as x-proxy-user"),
    ],
)  # fmt: skip
async def test_a_request_of_nobody_in_particular_is_refused(recorded: Recorded, headers: str) -> None:
    answer = await raw(recorded.bridge, f"GET /papers/_search HTTP/1.1\r\nHost: a\r\n{headers}")

    assert answer.startswith(b"HTTP/1.1 400")
    assert recorded.heads == []


async def test_a_header_with_an_underscore_arrives_and_a_fragment_does_not(recorded: Recorded) -> None:
    passed = await raw(recorded.bridge, "GET /_cat/indices HTTP/1.1\r\nHost: a\r\nMy_Header: b")
    refused = await raw(recorded.bridge, "DELETE /papers#2 HTTP/1.1\r\nHost: a")

    assert passed.startswith(b"HTTP/1.1 200")
    assert refused.startswith(b"HTTP/1.1 400")
    ((_, headers),) = recorded.heads
    assert headers["My_Header"] == "b"
