import gzip
import json
import sys
from pathlib import Path

import pytest

from sidecar.errors import ConfigurationError, InvalidInput
from sidecar.evaluation.data_set import CorpusDocument, measure, open_data_set, read_corpus

CORPUS = [
    {"_id": "d1", "title": "Cats", "text": "They purr."},
    {"_id": "d2", "text": "No title."},
]
QUERIES = [{"_id": "q1", "text": "who purrs"}, {"_id": "q2", "text": "not judged"}]
QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td2\t0\n"


def lines(documents: list[dict[str, str]]) -> bytes:
    return b"".join(json.dumps(document).encode() + b"\n" for document in documents)


def write_data_set(folder: Path, **files: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    given = {
        "corpus.jsonl": lines(CORPUS),
        "queries.jsonl": lines(QUERIES),
        "qrels.tsv": QRELS.encode(),
        **{name.replace("_", "."): content for name, content in files.items()},
    }
    for name, content in given.items():
        (folder / name).write_bytes(content)
    return folder


def test_a_data_set_holds_the_judged_queries(tmp_path: Path) -> None:
    opened = open_data_set(write_data_set(tmp_path / "pets"))
    assert opened.name == "pets"
    assert opened.queries == {"q1": "who purrs"}
    assert opened.judgements == {"q1": {"d1": 1, "d2": 0}}
    assert list(read_corpus(opened.corpus)) == [
        CorpusDocument("d1", "Cats", "They purr."),
        CorpusDocument("d2", "", "No title."),
    ]


def test_compressed_files_and_the_folder_for_judgements_are_found(tmp_path: Path) -> None:
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text(QRELS)
    (tmp_path / "corpus.jsonl.gz").write_bytes(gzip.compress(lines(CORPUS)))
    (tmp_path / "queries.jsonl.gz").write_bytes(gzip.compress(lines(QUERIES)))
    opened = open_data_set(tmp_path)
    assert opened.queries == {"q1": "who purrs"}
    assert len(list(read_corpus(opened.corpus))) == 2


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        pytest.param({"queries_jsonl": b"{\n"}, "queries.jsonl:1: is not JSON", id="not JSON"),
        pytest.param({"queries_jsonl": b"[]\n"}, "queries.jsonl:1: must be a JSON object", id="not an object"),
        pytest.param({"queries_jsonl": b'{"_id": 1, "text": "a"}'}, "[_id] must be a string, not [1]", id="id"),
        pytest.param({"queries_jsonl": b'{"_id": "q9", "text": ""}'}, "1 judged queries have no text", id="no query"),
        pytest.param({"qrels_tsv": b"h\nq1 d1\n"}, "qrels.tsv:2: must be query, document and relevance", id="qrels"),
        pytest.param({"qrels_tsv": b"h\nq1\td1\tyes\n"}, "not [q1\td1\tyes]", id="relevance"),
    ],
)
def test_a_wrong_file_is_named_with_its_line(tmp_path: Path, files: dict[str, bytes], sentence: str) -> None:
    with pytest.raises(InvalidInput) as error:
        open_data_set(write_data_set(tmp_path, **files))
    assert sentence in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"there is no qrels\.tsv or qrels/test\.tsv"):
        open_data_set(tmp_path)


@pytest.mark.parametrize(
    ("ranking", "expected"),
    [
        pytest.param(["d1"], {"nDCG@10": 1, "R@100": 1, "RR@10": 1, "AP@100": 1}, id="first"),
        pytest.param(["d2", "d1"], {"nDCG@10": 0.6309, "R@100": 1, "RR@10": 0.5, "AP@100": 0.5}, id="second"),
        pytest.param([*map(str, range(10)), "d1"], {"nDCG@10": 0, "R@100": 1, "RR@10": 0, "AP@100": 1 / 11}, id="11th"),
        pytest.param([], {"nDCG@10": 0, "R@100": 0, "RR@10": 0, "AP@100": 0}, id="nothing"),
    ],
)
def test_measures_of_one_ranking(ranking: list[str], expected: dict[str, float]) -> None:
    assert measure({"q1": {"d1": 1, "d2": 0}}, {"q1": ranking}) == pytest.approx(expected, abs=1e-4)


def test_a_query_without_a_ranking_counts_as_nothing_found() -> None:
    judgements = {"q1": {"d1": 1}, "q2": {"d1": 1}}
    assert measure(judgements, {"q1": ["d1"]})["nDCG@10"] == pytest.approx(0.5)


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ir_measures", None)
    with pytest.raises(ConfigurationError, match=r"needs the extra \[eval\]"):
        measure({}, {})
