"""What the doctor says of parts that do not answer; what it says of those that do is shown on a real node."""

import pytest

from sidecar.doctor.reading import see_bridge, see_cluster, see_embedder, see_indices
from sidecar.errors import EmbedderUnavailable, InvalidInput
from sidecar.ports import Reply
from tests.support.clusters import WrittenCluster


async def test_a_cluster_that_does_not_answer() -> None:
    subject = await see_cluster("http://c", WrittenCluster({"GET /": None}))

    assert (subject.kind, subject.name, subject.answers) == ("cluster", "http://c", False)
    assert [finding.check for finding in subject.findings] == ["unreachable"]


async def test_a_cluster_that_answers() -> None:
    info = {"version": {"number": "2.19.0", "distribution": "opensearch"}, "cluster_uuid": "u"}
    cluster = WrittenCluster({"GET /": Reply(200, info), "GET /_nodes/plugins": Reply(200, {"nodes": {"n": {}}})})
    subject = await see_cluster("http://c", cluster)

    assert subject.answers
    assert subject.about == "OpenSearch 2.19.0, 1 node"


async def test_a_bridge_that_is_none() -> None:
    subject = await see_bridge("http://b", WrittenCluster(), WrittenCluster())

    assert (subject.kind, subject.answers) == ("bridge", False)


async def test_an_embedding_server_that_does_not_answer() -> None:
    class Away:
        async def models(self) -> None:
            raise EmbedderUnavailable("e:1", "refused")

    seen = await see_embedder("e:1", Away())

    assert (seen.served, seen.subject.answers) == (None, False)
    assert "no vectors from the embedder at e:1: refused" in seen.subject.findings[0].message


async def test_names_that_stand_for_no_bound_index_are_refused() -> None:
    cluster = WrittenCluster({"GET /notes": Reply(200, {"notes": {"mappings": {}}})}, otherwise=Reply(200, {}))

    with pytest.raises(InvalidInput, match=r"\[notes\] names no index that is bound"):
        await see_indices(cluster, ["notes"], None, {}, lambda *_: None)
