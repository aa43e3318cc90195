"""What a fault run has left in its index, against what its clients know; and whether repair puts the rest right."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sidecar.model import Binding
from sidecar.opensearch.client import OpenSearchCluster
from sidecar.repair.passes import Passes
from sidecar.repair.patience import Patience
from sidecar.repair.scan import Scan
from tests.soak.clients import Ledger, text_of
from tests.support.between import broken_promises
from tests.support.embedders import HashEmbedder
from tests.support.http import Http

_REPAIR_PATIENCE_S = 20


@dataclass(frozen=True, slots=True)
class Stored:
    """The documents of an index by id, and how often each text was written there."""

    documents: Mapping[str, Any]
    writes: Counter[str]

    @property
    def titles(self) -> set[str]:
        return {document["title"] for document in self.documents.values()}

    def pending(self, binding: Binding) -> list[str]:
        return [key for key, document in self.documents.items() if document[binding.meta_field].get("pending")]

    def lost(self, ledger: Ledger) -> set[str]:
        return ledger.acknowledged - self.titles

    def doubled(self, ledger: Ledger) -> set[str]:
        """What was written more often than its client sent it, in a second document or over the first."""
        return ledger.doubled | {text for text, count in self.writes.items() if count > ledger.writes[text]}


async def read(direct: Http, index: str) -> Stored:
    """All documents; asked of the cluster itself."""
    assert (await direct("POST", f"/{index}/_refresh")).status == 200
    answer = await direct("POST", f"/{index}/_search", {"size": 10_000, "_source": True, "version": True})
    hits = answer.json["hits"]["hits"]
    writes: Counter[str] = Counter()
    for hit in hits:
        writes[text_of(hit["_source"]["title"])] += hit["_version"]
    return Stored({hit["_id"]: hit["_source"] for hit in hits}, writes)


async def left_by_repair(direct: Http, index: str, binding: Binding, hashes: HashEmbedder) -> list[str]:
    """Run `sidecar repair` on the index; the documents that are pending or wrong even then."""
    async with OpenSearchCluster(direct.url) as cluster:
        scan = Scan(cluster, Patience(_REPAIR_PATIENCE_S), lambda _more, _done: None)
        repair = Passes(scan, hashes, Patience(_REPAIR_PATIENCE_S))
        await repair.repair_all(await scan.targets((index,)))
    found = await read(direct, index)
    return [*found.pending(binding), *broken_promises(found.documents, binding, hashes)]
