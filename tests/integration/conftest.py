"""The model that most of these tests compute with: MiniLM with 8-bit weights, in this process."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sidecar.embedding import server
from sidecar.embedding.batcher import Batcher
from sidecar.embedding.loading.models import LoadedModel
from sidecar.models.store import ModelStore
from tests.support.built import W8
from tests.support.computing import InThread, OneAtATime, backend_of, load_here


@pytest.fixture
def batchers(monkeypatch: pytest.MonkeyPatch) -> list[Batcher]:
    """Those of the servers that a test starts from now on: they tell what waits in their queues."""
    made: list[Batcher] = []

    def make(*arguments: Any, **options: Any) -> Batcher:
        made.append(Batcher(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(server, "Batcher", make)
    return made


@pytest.fixture(scope="session")
def minilm(w8_models: Path) -> LoadedModel:
    loaded = load_here(W8, ModelStore(w8_models))
    return replace(loaded, backend=InThread(OneAtATime(backend_of(loaded)), loaded.backend.name))
