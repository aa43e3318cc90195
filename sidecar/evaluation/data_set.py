"""Files in the layout of BEIR, and the measures of a ranking on them.

A data set is a folder with `corpus.jsonl`, `queries.jsonl` (each also as `.gz`) and `qrels.tsv` (also as
`qrels/test.tsv`). The measures are trec_eval's, through `ir_measures`, which the extra `eval` brings.
"""

import gzip
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sidecar.errors import ConfigurationError, InvalidInput
from sidecar.jsontext import Json, loads

MEASURES: Final = ("nDCG@10", "R@100", "RR@10", "AP@100")

_QRELS_COLUMNS: Final = 3


@dataclass(frozen=True, slots=True)
class CorpusDocument:
    """One document of the corpus."""

    id: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class DataSet:
    """Queries with their judgements. The corpus stays in its file until it is indexed."""

    name: str
    corpus: Path
    queries: Mapping[str, str]  # only those that have a judgement
    judgements: Mapping[str, Mapping[str, int]]  # query -> document -> relevance


def open_data_set(folder: Path) -> DataSet:
    """Read queries and judgements of a folder. Raises InvalidInput naming the file, and its line, that is wrong."""
    judgements = _judgements(_existing(folder, "qrels.tsv", "qrels/test.tsv"))
    texts = {
        _text(line, fields, "_id"): _text(line, fields, "text")
        for line, fields in _lines(_existing(folder, "queries.jsonl", "queries.jsonl.gz"))
    }
    queries = {query: texts[query] for query in judgements if query in texts}
    if missing := judgements.keys() - queries.keys():
        raise InvalidInput(str(folder), f"{len(missing)} judged queries have no text, [{min(missing)}] among them")
    return DataSet(folder.resolve().name, _existing(folder, "corpus.jsonl", "corpus.jsonl.gz"), queries, judgements)


def read_corpus(file: Path) -> Iterator[CorpusDocument]:
    """The documents of a corpus file, in its order. Raises InvalidInput naming the line that is wrong."""
    for line, fields in _lines(file):
        title = _text(line, fields, "title") if "title" in fields else ""
        yield CorpusDocument(_text(line, fields, "_id"), title, _text(line, fields, "text"))


def measure(judgements: Mapping[str, Mapping[str, int]], rankings: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Each of `MEASURES`, as the mean over all judged queries, for the document ids found per query, best first.

    Only the order of the ids counts, so that ties are judged as a user sees them. A query without a ranking
    counts as 0. Raises ConfigurationError if the extra `eval` is not installed.
    """
    try:
        import ir_measures  # noqa: PLC0415  (an extra, and a C extension that only this function needs)
    except ModuleNotFoundError as error:
        problem = "measuring needs the extra [eval]: pip install 'opensearch-embedding-sidecar[eval]'"
        raise ConfigurationError(problem) from error
    run = {
        query: {document: -float(rank) for rank, document in enumerate(documents)}
        for query, documents in rankings.items()
    }
    means = ir_measures.calc_aggregate([ir_measures.parse_measure(name) for name in MEASURES], judgements, run)
    return {name: float(means[ir_measures.parse_measure(name)]) for name in MEASURES}


def _existing(folder: Path, *names: str) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise InvalidInput(str(folder), f"is not a data set in BEIR layout: there is no {' or '.join(names)}")


def _lines(file: Path) -> Iterator[tuple[str, dict[str, Json]]]:
    with gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            where = f"{file}:{number}"
            try:
                fields = loads(line)
            except ValueError as error:
                raise InvalidInput(where, f"is not JSON: {error}") from error
            if not isinstance(fields, dict):
                raise InvalidInput(where, "must be a JSON object")
            yield where, fields


def _text(where: str, fields: Mapping[str, Json], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise InvalidInput(where, f"[{name}] must be a string, not [{value!r}]")
    return value


def _judgements(file: Path) -> dict[str, dict[str, int]]:
    judgements: dict[str, dict[str, int]] = {}
    with file.open(encoding="utf-8") as lines:
        next(lines, None)  # the heading: query-id, corpus-id, score
        for number, line in enumerate(lines, start=2):
            columns = line.split()
            if len(columns) != _QRELS_COLUMNS or not columns[2].isdigit():
                raise InvalidInput(f"{file}:{number}", f"must be query, document and relevance, not [{line.strip()}]")
            judgements.setdefault(columns[0], {})[columns[1]] = int(columns[2])
    return judgements
