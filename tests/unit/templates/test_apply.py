"""Faults that a real node does not show on demand; what it does show is in tests/cluster/templates/test_apply.py."""

import pytest

from sidecar.errors import ClusterRefused
from sidecar.ports import Reply
from sidecar.templates.apply import apply
from tests.support.templates import compiled

TEMPLATE = compiled()
BASE, VECTOR = (path for path in TEMPLATE.documents if path.startswith("/_component_template"))
GUARD = next(path for path in TEMPLATE.documents if path.startswith("/_ingest"))
OLD_BASE = {"template": {"mappings": {}}}
REFUSED = Reply(403, {"error": {"type": "security_exception", "reason": "no permissions"}})


class RefusingCluster:
    """Has only an older base, and refuses the calls that it is told to."""

    def __init__(self, *refused):
        self.refused = refused
        self.writes = []

    async def call(self, method, path, *, params=None, body=None, headers=None):
        if (method, path) in self.refused:
            return REFUSED
        if method != "GET":
            self.writes.append((method, path, body))
        if path == "/_component_template":
            name = BASE.rpartition("/")[2]
            return Reply(200, {"component_templates": [{"name": name, "component_template": OLD_BASE}]})
        return Reply(200, {})


async def test_a_refused_document_takes_back_those_before_it():
    cluster = RefusingCluster(("PUT", VECTOR))

    with pytest.raises(ClusterRefused) as refused:
        await apply(cluster, TEMPLATE)

    assert str(refused.value) == f"PUT {VECTOR} was answered with 403: security_exception: no permissions"
    assert cluster.writes == [
        ("PUT", GUARD, TEMPLATE.documents[GUARD]),
        ("PUT", BASE, TEMPLATE.documents[BASE]),
        ("PUT", BASE, OLD_BASE),
        ("DELETE", GUARD, None),
    ]


async def test_what_cannot_be_taken_back_is_said():
    cluster = RefusingCluster(("PUT", VECTOR), ("DELETE", GUARD))

    with pytest.raises(ClusterRefused, match=rf"no permissions; could not be taken back: {GUARD}$"):
        await apply(cluster, TEMPLATE)


async def test_nothing_is_written_if_the_cluster_cannot_be_read():
    cluster = RefusingCluster(("GET", "/_ingest/pipeline"))

    with pytest.raises(ClusterRefused, match=r"^GET /_ingest/pipeline was answered with 403"):
        await apply(cluster, TEMPLATE)

    assert cluster.writes == []
