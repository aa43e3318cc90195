"""A bridge whose ways to the real node and to a stub of the embedding server can both be harmed."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from sidecar.bridge.app import serving
from sidecar.config import BridgeSettings
from sidecar.model import Binding, ModelVersion
from sidecar.provenance import provenance_hash, source_text
from sidecar.rpc.client import EmbedderClient
from tests.support.embedders import HashEmbedder, StubServer, serving_stub
from tests.support.faults import FaultProxy, faulty
from tests.support.http import Http, http

ANY = "127.0.0.1:0"


@dataclass(frozen=True, slots=True)
class Between:
    """The bridge, and what stands on either side of it."""

    bridge: Http
    address: str
    stub: StubServer
    to_node: FaultProxy
    to_embedder: FaultProxy
    embedder: EmbedderClient  # what the bridge asks


@asynccontextmanager
async def between(
    node_url: str, version: ModelVersion, *, max_message_bytes: int = -1, **options: object
) -> AsyncIterator[Between]:
    """Start it; `options` are settings of the bridge."""
    stub = StubServer(version)
    async with (
        serving_stub(stub, max_message_bytes=max_message_bytes) as stub_at,
        faulty(stub_at) as to_embedder,
        faulty(node_url) as to_node,
        EmbedderClient(to_embedder.address) as client,
        serving(bridge_settings(to_node.url, **options), client) as at,
        http(f"http://{at.address}") as (bridge,),
    ):
        yield Between(bridge, at.address, stub, to_node, to_embedder, client)


def bridge_settings(upstream: str, **options: object) -> BridgeSettings:
    """Of a bridge under test: on a loaded machine, too, a search waits for its vector unless the test says otherwise."""
    patient = {"listen": ANY, "admin_listen": ANY, "upstream": upstream, "search_embed_timeout_s": 30}
    return BridgeSettings.model_validate({**patient, **options})


async def stored(direct: Http, index: str, limit: int = 10_000) -> dict[str, Any]:
    """All documents of an index, by id; asked of the cluster itself."""
    found = await direct("POST", f"/{index}/_refresh")
    assert found.status == 200, found.body
    # The vector and its provenance may be left out of _source by default: ask for all.
    answer = await direct("POST", f"/{index}/_search", {"size": limit, "_source": True})
    hits = answer.json["hits"]
    assert hits["total"]["value"] <= limit
    return {hit["_id"]: hit["_source"] for hit in hits["hits"]}


def broken_promises(documents: Mapping[str, Any], binding: Binding, hashes: HashEmbedder) -> list[str]:
    """Ids of documents that hold a text with neither its own vector nor the mark that it has none."""
    return [identifier for identifier, document in documents.items() if not _is_kept(document, binding, hashes)]


def _is_kept(document: dict[str, Any], binding: Binding, hashes: HashEmbedder) -> bool:
    text = source_text(document, binding)
    meta, vector = document.get(binding.meta_field) or {}, document.get(binding.field)
    if not text:
        return vector is None
    if meta.get("pending"):
        return vector is None
    is_proven = "about" in meta and meta.get("hash") == provenance_hash(text, binding)
    return is_proven and vector is not None and bool(np.allclose(vector, hashes.vector(text), atol=1e-6))
