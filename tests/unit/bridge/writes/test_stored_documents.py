"""What is stored is read once for each index, in the client's own name; what could not be read is missing."""

from sidecar.bridge.proxy.identity import Credentials
from sidecar.bridge.writes.stored_documents import DocumentRead, read_stored
from sidecar.bridge.writes.update_body import Position
from sidecar.bridge.writes.update_plan import Stored
from sidecar.ports import Reply
from tests.support.clusters import WrittenCluster

ADA = Credentials({"authorization": "Basic ada"})
FOUND = {"found": True, "_source": {"title": "a"}, "_seq_no": 3, "_primary_term": 1}


def read(identifier: str, index: str = "papers", routing: str | None = None) -> DocumentRead:
    return DocumentRead(index, identifier, routing, ("title",))


async def test_documents_of_an_index_are_read_together() -> None:
    cluster = WrittenCluster({"POST /papers/_mget": Reply(200, {"docs": [FOUND, {"found": False}]})})
    found = await read_stored(cluster, [read("1", routing="r"), read("2")], ADA)

    assert found == {("papers", "1"): Stored({"title": "a"}, Position(3, 1)), ("papers", "2"): Stored(None)}
    assert cluster.asked == [("POST /papers/_mget", ADA.headers)]
    wanted = [{"_id": "1", "routing": "r", "_source": ["title"]}, {"_id": "2", "_source": ["title"]}]
    assert cluster.bodies == [{"docs": wanted}]


async def test_a_document_that_cannot_be_read_is_missing_and_the_others_are_not() -> None:
    answers = [{"error": {}}, {"found": True, "_seq_no": 1, "_primary_term": 1}, FOUND]
    cluster = WrittenCluster({"POST /papers/_mget": Reply(200, {"docs": answers})})

    assert (await read_stored(cluster, [read("1"), read("2"), read("3")], ADA)).keys() == {("papers", "3")}


async def test_an_index_that_cannot_be_read_costs_only_its_own_documents() -> None:
    cluster = WrittenCluster(
        {
            "POST /away/_mget": None,
            "POST /closed/_mget": Reply(403, {}),
            "POST /short/_mget": Reply(200, {"docs": []}),
            "POST /papers/_mget": Reply(200, {"docs": [FOUND]}),
        }
    )
    reads = [read("1", index) for index in ("away", "closed", "short", "new", "papers")]

    assert (await read_stored(cluster, reads, ADA)).keys() == {("papers", "1")}
