"""The admin listener on a real node."""

from tests.cluster.bridges import Papers


async def test_the_admin_listener_tells_the_truth(papers: Papers) -> None:
    assert (await papers.admin("GET", "/livez")).body == b"ok\n"
    assert (await papers.admin("GET", "/readyz")).status == 200
    await papers.bridge("GET", "/")
    assert b'sidecar_bridge_requests_total{route="passthrough"' in (await papers.admin("GET", "/metrics")).body
