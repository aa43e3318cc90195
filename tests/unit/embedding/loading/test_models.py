from pathlib import Path

import pytest

from sidecar.embedding.loading.models import open_models
from sidecar.errors import ConfigurationError, InvalidInput, ModelNotFound, SidecarError
from sidecar.models.store import ModelStore


@pytest.mark.parametrize(
    ("specs", "error", "problem"),
    [
        pytest.param(["no@1"], ModelNotFound, "known: all-minilm", id="unknown model"),
        pytest.param(["all-minilm-l6-v2@1/abacus"], InvalidInput, "abacus", id="unknown back end"),
        pytest.param(["all-minilm-l6-v2@1", "all-minilm-l6-v2"], InvalidInput, "is named twice", id="one model twice"),
        pytest.param(
            ["all-minilm-l6-v2@1", "all-mpnet-base-v2@1"], ConfigurationError, "not on this machine", id="no files"
        ),
    ],
)
def test_what_cannot_be_loaded_is_told_before_anything_is(
    specs: list[str], error: type[SidecarError], problem: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=problem):
        open_models(specs, ModelStore(tmp_path))
