import io
import shlex
from collections.abc import Callable

import pytest
from rich.console import Console, RenderableType

from sidecar.cli import demo_pages as pages
from sidecar.cli.demo_pages import Comparison, DirectCall, Hit, Places

PLACES = Places(
    cluster="http://127.0.0.1:9200",
    bridge="http://127.0.0.1:9201",
    bridge_admin="http://127.0.0.1:9202",
    embedder="127.0.0.1:50051",
    embedder_http="http://127.0.0.1:8081",
    index="docstrings",
    template="demo",
    model="all-minilm-l6-v2@1",
    source=("title", "abstract"),
)
QUESTION = "don't repeat values"
COMPARISON = Comparison(
    QUESTION,
    lexical=[Hit("numpy.repeat", "Repeat each element of an array after themselves"), Hit("a" * 60, "b" * 60)],
    bridged=[Hit("numpy.unique", "Find the unique elements of an array."), Hit("numpy.repeat", "[red]Repeat[/red]")],
    mode="hybrid",
)
SOURCE = {
    "title": "numpy.unique",
    "abstract": "Find the unique elements of an array.",
    "content": "Returns the sorted unique elements.\n\n" * 10,
    "embedding": [0.25, -0.5, 0.125, 0.0625, 1.0],
    "embedding_meta": {"hash": "0" * 64, "about": {"model": "all-minilm-l6-v2@1", "truncated": False}},
}
CALL = DirectCall(
    text=QUESTION,
    model="all-minilm-l6-v2@1",
    backend="torch",
    tokens=6,
    vector=[0.25, -0.5, 0.125, 0.0625, 1.0],
    took_ms=7.25,
    cosines={"numpy.unique": 0.46},
)


def rendered(page: RenderableType) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=100, color_system=None).print(page)
    return [line.rstrip() for line in file.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("name", "page"),
    [
        pytest.param("addresses", pages.addresses(PLACES), id="addresses"),
        pytest.param("comparison", pages.rankings(COMPARISON), id="comparison"),
        pytest.param(
            "nothing_found", pages.rankings(Comparison(QUESTION, [], [], "lexical (embedder)")), id="nothing found"
        ),
        pytest.param("stored_document", pages.stored_document(SOURCE, "embedding"), id="stored document"),
        pytest.param("direct_call", pages.direct_call(CALL), id="direct call"),
        pytest.param("heading", pages.heading("Running"), id="heading"),
    ],
)
def test_pages(name: str, page: RenderableType, golden: Callable[[str, object], None]) -> None:
    lines = rendered(page)
    assert max(map(len, lines)) <= 100
    golden(f"demo/{name}.json", lines)


def test_commands_can_be_pasted_into_a_shell() -> None:
    commands = [shlex.split(command) for _, command in pages.commands(PLACES, QUESTION, ["title"])]
    assert {words[0] for words in commands} == {"curl", "sidecar"}
    searches = [words for words in commands if any("_search" in word for word in words)]
    assert [words[2].split("/docstrings")[0] for words in searches] == [PLACES.cluster, PLACES.bridge]
    assert searches[0][3:] == searches[1][3:]
    assert QUESTION in searches[0][-1]


def test_indexing_that_is_complete_is_one_sentence() -> None:
    assert pages.indexed(PLACES, 3_000, 10.0, with_vector=3_000) == (
        "3,000 docstrings of installed packages in 10.0 s, 300 a second; 3,000 have a vector of their text."
    )


def test_indexing_with_late_vectors_says_how_many_are_pending_and_offers_repair() -> None:
    _, pending, command = pages.indexed(PLACES, 3_000, 120.0, with_vector=1_866).split("\n")

    assert pending == "1,134 are pending, because their vectors came too late. This adds them:"
    assert command == "sidecar repair docstrings --cluster http://127.0.0.1:9200 --embedder 127.0.0.1:50051"
