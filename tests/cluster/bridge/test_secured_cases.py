"""Cases 7 to 9 of the security cases on a secured node: nobody, somebody else, and what an error tells."""

import uuid

import pytest

from tests.cluster.bridge.securing import INDEX, QUERY, SECURED, Way, as_user
from tests.cluster.bridge.test_rights import Watched, watched  # noqa: F401 - a fixture
from tests.security.conftest import send

pytestmark = SECURED


@pytest.mark.parametrize("credentials", [{}, as_user("reader", "wrong")], ids=["none", "wrong"])
@pytest.mark.parametrize("asks", [True, False], ids=["asks before its body", "sends its body at once"])
async def test_case_7_a_large_bulk_of_nobody_is_refused_before_anything_is_embedded(
    watched: Watched, credentials: dict[str, str], asks: bool
) -> None:
    line = b'{"index":{}}\n{"title":"%b"}\n' % (b"cats " * 200)
    body = b"" if asks else line * 20_000  # 20 MB
    head = f"POST /{watched.index}/_bulk HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-ndjson\r\n" + "".join(
        f"{name}: {value}\r\n" for name, value in credentials.items()
    )
    head += f"Content-Length: {len(body) or 99_999_999}\r\nConnection: close\r\n"
    if asks:
        head += "Expect: 100-continue\r\n"

    answer = await send(watched.bridge.url.removeprefix("http://"), f"{head}\r\n".encode(), body)

    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"100 Continue" not in answer
    assert watched.embedder.asked == []


async def test_case_8_on_shared_connections_everybody_stays_who_he_is(way: Way) -> None:
    for user in ["reader", "of-a-team", "stranger", "writer", "without-vector", "reader"] * 4:
        answer = await way.bridge("GET", "/_plugins/_security/authinfo", **as_user(user))

        assert answer.json["user_name"] == user


async def test_case_8_a_right_that_is_taken_away_counts_at_once(watched: Watched) -> None:
    path = "/_plugins/_security/api/internalusers/leaver"
    user = {"password": f"Aa-{uuid.uuid4().hex}", "opendistro_security_roles": ["writer"]}
    signed = as_user("leaver", user["password"])
    assert (await watched.admin.call("PUT", path, body=user)).ok
    before = await watched.bridge("PUT", f"/{watched.index}/_doc/3", {"title": "Mice"}, **signed)
    assert (await watched.admin.call("PUT", path, body={**user, "opendistro_security_roles": ["reader"]})).ok
    through = await watched.bridge("PUT", f"/{watched.index}/_doc/3", {"title": "Bees"}, **signed)
    direct = await watched.direct("PUT", f"/{watched.index}/_doc/3", {"title": "Bees"}, **signed)
    await watched.admin.call("DELETE", path)

    assert before.status == 201
    assert (through.status, through.body) == (direct.status, direct.body)
    assert direct.status == 403


@pytest.mark.parametrize("index", [INDEX, "papers-absent", "papers*", "_all"])
async def test_case_9_an_error_tells_a_stranger_no_more_than_the_clusters_own(way: Way, index: str) -> None:
    for path, body in (("_search", {"query": QUERY}), ("_doc/1", None), ("_mget", {"ids": ["1"]}), ("_mapping", None)):
        method = "GET" if body is None else "POST"
        through = await way.bridge(method, f"/{index}/{path}", body, X_Sidecar_Explain="1", **as_user("stranger"))
        reply = await way.direct.call(method, f"/{index}/{path}", body=body, headers=as_user("stranger"))

        assert through.status == reply.status
        said = through.json
        assert {**said, "took": 0} == {**reply.body, "took": 0}
