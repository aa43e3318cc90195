"""The OpenAI embedders of Haystack, unmodified, with the real MiniLM behind them."""

import asyncio

import numpy as np
import pytest

from sidecar.config import EmbedderSettings
from sidecar.embedding.loading.models import LoadedModel
from sidecar.embedding.server import serving
from sidecar.model import Role
from sidecar.rpc import EmbedderClient
from tests.support.computing import ready

MINILM = "all-minilm-l6-v2@1"
TEXTS = ["hello world", "Ein Satz mit äöü and 漢字 and 🙂", "word " * 300]


async def test_haystack_works_unmodified(minilm: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAYSTACK_TELEMETRY_ENABLED", "False")  # asked when it is imported
    from haystack import Document
    from haystack.components.embedders import OpenAIDocumentEmbedder, OpenAITextEmbedder
    from haystack.utils import Secret

    settings = EmbedderSettings(listen="127.0.0.1:0", http_listen="127.0.0.1:0")
    async with serving(settings, ready(minilm)) as running, EmbedderClient(running.address) as ours:
        where = {"model": MINILM, "api_base_url": f"http://{running.http_address}/v1"}
        passages = OpenAIDocumentEmbedder(api_key=Secret.from_token("none"), progress_bar=False, **where)
        query = OpenAITextEmbedder(api_key=Secret.from_token("none"), **where)
        documents = [Document(content=text) for text in TEXTS]
        embedded = (await asyncio.to_thread(passages.run, documents))["documents"]
        asked = await asyncio.to_thread(query.run, TEXTS[0])
        expected = await ours.encode(TEXTS, Role.PASSAGE, model=MINILM)
    np.testing.assert_allclose([document.embedding for document in embedded], expected, atol=1e-6)
    np.testing.assert_allclose(asked["embedding"], expected[0], atol=1e-6)
    assert asked["meta"]["model"] == MINILM
