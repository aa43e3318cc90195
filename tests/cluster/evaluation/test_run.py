"""A running system is evaluated on a judged data set, and nothing of it stays in the cluster."""

import json
from pathlib import Path

import pytest

from sidecar.config import ClusterSettings
from sidecar.errors import Conflict
from sidecar.evaluation.data_set import DataSet, open_data_set
from sidecar.evaluation.run import MODES, EvaluatedSystem, evaluate
from sidecar.models.catalogue import shipped_versions
from sidecar.opensearch.client import OpenSearchCluster
from sidecar.ports import Reply

MINILM = shipped_versions()["all-minilm-l6-v2@1"]
CORPUS = {"1": "cats purr when they are content", "2": "dogs bark at strangers", "3": "rain falls from clouds"}


@pytest.fixture
def data_set(tmp_path: Path) -> DataSet:
    corpus = (json.dumps({"_id": name, "text": text}) for name, text in CORPUS.items())
    (tmp_path / "corpus.jsonl").write_text("\n".join(corpus))
    (tmp_path / "queries.jsonl").write_text(json.dumps({"_id": "q", "text": "the happy sound of a kitten"}))
    (tmp_path / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq\t1\t1\n")
    return open_data_set(tmp_path)


async def left(cluster: OpenSearchCluster) -> tuple[Reply, Reply]:
    return await cluster.call("GET", "/eval-*/_alias"), await cluster.call("GET", "/_index_template/sidecar-eval-*")


async def test_each_mode_is_measured_and_everything_is_taken_away(
    data_set: DataSet, system: dict[str, str], cluster: OpenSearchCluster
) -> None:
    steps: list[tuple[str, int, int]] = []
    access = ClusterSettings(url=system["cluster"])

    found = await evaluate(
        data_set, MINILM, EvaluatedSystem(system["bridge"], access), lambda *step: steps.append(step)
    )

    assert (found.documents, found.queries, found.model) == (3, 1, MINILM.id)
    assert tuple(found.modes) == MODES
    assert found.modes["lexical"]["R@100"] == 0.0  # no word of the query is in the passage
    assert found.modes["semantic"]["nDCG@10"] == found.modes["hybrid"]["nDCG@10"] == 1.0
    assert steps[:3] == [
        ("index through the bridge", 0, 3),
        ("index through the bridge", 3, 3),
        ("search, lexical", 0, 1),
    ]
    indices, templates = await left(cluster)
    assert (indices.body, templates.status) == ({}, 404)


async def test_nothing_is_measured_on_an_index_without_vectors(
    data_set: DataSet, system: dict[str, str], cluster: OpenSearchCluster
) -> None:
    access = ClusterSettings(url=system["cluster"])

    with pytest.raises(Conflict, match="only 0 of 3 documents have a vector"):
        await evaluate(data_set, MINILM, EvaluatedSystem(system["cluster"], access), lambda *_: None)

    indices, templates = await left(cluster)
    assert (indices.body, templates.status) == ({}, 404)
