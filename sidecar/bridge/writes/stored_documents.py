"""Reads stored documents in real time, with the client's own credentials."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from sidecar.bridge.proxy.identity import Credentials
from sidecar.bridge.writes.update_body import Position
from sidecar.bridge.writes.update_plan import DocumentKey, Stored
from sidecar.errors import ClusterUnreachable
from sidecar.jsontext import Json
from sidecar.ports import Cluster
from sidecar.telemetry import logger

_log = logger("bridge")


@dataclass(frozen=True, slots=True)
class DocumentRead:
    """A document to read, and the top-level fields of it that are needed."""

    index: str
    id: str
    routing: str | None
    fields: tuple[str, ...]

    @property
    def key(self) -> DocumentKey:
        return self.index, self.id


async def read_stored(
    cluster: Cluster, reads: Sequence[DocumentRead], credentials: Credentials
) -> dict[DocumentKey, Stored]:
    """Read documents. Gives them by index and id.

    A document that could not be read is missing from the result. One that does not exist is a `Stored` without source.
    """
    by_index: dict[str, list[DocumentRead]] = {}
    for read in reads:
        by_index.setdefault(read.index, []).append(read)
    found: dict[DocumentKey, Stored] = {}
    for index, wanted in by_index.items():
        body: Json = {"docs": [_describe(read) for read in wanted]}
        try:
            path, params = f"/{quote(index, safe='')}/_mget", credentials.parameters
            reply = await cluster.call("POST", path, params=params, body=body, headers=credentials.headers)
        except ClusterUnreachable as error:
            _log.warning("documents could not be read", action="read_failed", index=index, error=str(error))
            continue
        answers = reply.body.get("docs") if reply.ok and isinstance(reply.body, dict) else None
        if isinstance(answers, list) and len(answers) == len(wanted):
            documents = {read.key: _stored(answer) for read, answer in zip(wanted, answers, strict=True)}
            found |= {key: document for key, document in documents.items() if document is not None}
        elif reply.status != 404:  # a template will create the index
            _log.warning("documents could not be read", action="read_failed", index=index, error=reply.reason)
    return found


def _describe(read: DocumentRead) -> dict[str, Json]:
    routing: dict[str, Json] = {} if read.routing is None else {"routing": read.routing}
    return {"_id": read.id, **routing, "_source": list(read.fields)}


def _stored(answer: Json) -> Stored | None:
    if not isinstance(answer, dict) or "error" in answer:
        return None
    if answer.get("found") is not True:
        return Stored(None)
    source, seq_no, term = answer.get("_source"), answer.get("_seq_no"), answer.get("_primary_term")
    if not isinstance(source, dict) or not isinstance(seq_no, int) or not isinstance(term, int):
        return None  # stored without its source, so no update can be applied to it
    return Stored(source, Position(seq_no, term))
