"""A bridge under test between a client and the real node, and an index that is bound."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sidecar.model import Binding, Role
from sidecar.ports import Embedder, Lane
from sidecar.provenance import provenance_hash, source_text
from tests.support.between import stored
from tests.support.http import Http, ndjson
from tests.support.provenances import state_of


@dataclass(frozen=True, slots=True)
class Papers:
    """An index bound by a template, reached through the bridge and directly."""

    bridge: Http
    direct: Http
    admin: Http
    index: str
    binding: Binding

    async def stored(self, identifier: str, index: str | None = None) -> dict:
        """The document as the cluster holds it."""
        answer = await self.direct("GET", f"/{index or self.index}/_doc/{identifier}")
        return answer.json["_source"]

    async def without_guard(self) -> None:
        """Switch the index's pipeline off: a cluster writes each document that runs through one anew."""
        answer = await self.direct("PUT", f"/{self.index}/_settings", {"index.final_pipeline": "_none"})
        assert answer.status == 200


class ReadOnly(Protocol):
    """The index of a name with these documents, which nobody changes; the first who asks fills it."""

    async def __call__(self, name: str, documents: Mapping[str, object], mapping: object = None) -> Papers: ...


def bulk_of(documents: Mapping[str, object]) -> bytes:
    return ndjson(*(line for name, source in documents.items() for line in ({"index": {"_id": name}}, source)))


async def expect_every_vector(papers: Papers, embedder: Embedder, count: int) -> None:
    """Each document has the vector that the model makes of its own text, and says so."""
    documents = list((await stored(papers.direct, papers.index)).values())
    assert len(documents) == count
    texts = [source_text(document, papers.binding) for document in documents]
    answer = await embedder.embed(texts, Role.PASSAGE, model=papers.binding.model, lane=Lane.BULK, timeout_s=30)
    for position, (document, text) in enumerate(zip(documents, texts, strict=True)):
        assert state_of(document) == "ok"
        assert document["embedding_meta"]["hash"] == provenance_hash(text, papers.binding)
        expected = answer.vector(position)
        assert expected is not None
        assert np.dot(document["embedding"], expected) >= 0.9999, text
