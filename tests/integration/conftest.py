"""The model that most of these tests compute with: MiniLM with 8-bit weights, in this process."""

from dataclasses import replace
from pathlib import Path

import pytest

from sidecar.embedding.loading.models import LoadedModel
from sidecar.models.store import ModelStore
from tests.support.built import W8
from tests.support.computing import InThread, OneAtATime, backend_of, load_here


@pytest.fixture(scope="session")
def minilm(w8_models: Path) -> LoadedModel:
    loaded = load_here(W8, ModelStore(w8_models))
    return replace(loaded, backend=InThread(OneAtATime(backend_of(loaded)), loaded.backend.name))
