import pytest

from sidecar.model import SpaceType
from sidecar.models.catalogue import catalogue, shipped_versions


@pytest.mark.parametrize(
    ("name", "dimension", "space_type"),
    [
        pytest.param("all-minilm-l6-v2", 384, SpaceType.COSINESIMIL, id="all-minilm-l6-v2"),
        pytest.param("all-mpnet-base-v2", 768, SpaceType.COSINESIMIL, id="all-mpnet-base-v2"),
        pytest.param("all-distilroberta-v1", 768, SpaceType.COSINESIMIL, id="all-distilroberta-v1"),
        pytest.param("paraphrase-minilm-l3-v2", 384, SpaceType.COSINESIMIL, id="paraphrase-minilm-l3-v2"),
        pytest.param("msmarco-distilbert-base-v4", 768, SpaceType.COSINESIMIL, id="msmarco-distilbert-base-v4"),
        pytest.param("multi-qa-mpnet-base-dot-v1", 768, SpaceType.INNERPRODUCT, id="multi-qa-mpnet-base-dot-v1"),
        pytest.param("allenai-specter", 768, SpaceType.COSINESIMIL, id="allenai-specter"),
        pytest.param("biobert-mnli-snli-scinli-scitail-mednli-stsb", 768, SpaceType.COSINESIMIL, id="biobert"),
        pytest.param("paraphrase-multilingual-minilm-l12-v2", 384, SpaceType.COSINESIMIL, id="multilingual"),
    ],
)
def test_entries(name: str, dimension: int, space_type: SpaceType) -> None:
    entry = catalogue()[name]
    assert (entry.dimension, entry.space_type) == (dimension, space_type)
    assert entry.hub.rpartition("/")[2].lower() == name


def test_shipped_versions_agree_with_their_entries() -> None:
    versions = shipped_versions()
    assert set(versions) == {"all-minilm-l6-v2@1", "all-mpnet-base-v2@1"}
    for version in versions.values():
        entry = catalogue()[version.id.partition("@")[0]]
        for fact in ("dimension", "max_tokens", "pooling", "normalized", "space_type", "prompts", "description"):
            assert getattr(version, fact) == getattr(entry, fact)


def test_shipped_spaces_never_change() -> None:
    assert {version.id: version.space for version in shipped_versions().values()} == {
        "all-minilm-l6-v2@1": "sha256:bcd409497f487d25928f3cda09154a8e5c5ff804f5f53bad0d184c551863603e",
        "all-mpnet-base-v2@1": "sha256:a88a04947d9f0d4cf463ad1e493797ba9e8e6a5485593c3da82e2d06060da361",
    }
