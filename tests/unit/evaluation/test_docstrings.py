import json
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from sidecar.evaluation.docstrings import Passage, parse_exports, parse_passages, read_passages


def parse(
    source: str, *, module: str = "package.module", exports: dict[tuple[str, str], str] | None = None
) -> list[Passage]:
    return list(parse_passages(module, dedent(source).encode(), exports or {}))


def test_a_docstring_is_split_into_first_paragraph_and_rest() -> None:
    source = '''
    def unique(values):
        """Find the unique elements
        of an array.

        Returns them sorted.

            >>> unique([2, 1, 2])
        """
    '''
    assert parse(source) == [
        Passage(
            title="package.module.unique",
            abstract="Find the unique elements of an array.",
            content="Returns them sorted.\n\n    >>> unique([2, 1, 2])",
        )
    ]


@pytest.mark.parametrize(
    ("source", "titles"),
    [
        pytest.param(
            'class Graph:\n  "A graph of nodes and of edges."\n  def nodes(self): "All the nodes, in no order at all."',
            ["package.module.Graph", "package.module.Graph.nodes"],
            id="class and method",
        ),
        pytest.param('async def get(): "Fetch a page from a server, whole."', ["package.module.get"], id="coroutine"),
        pytest.param('def _hidden(): "Nobody outside should call this one."', [], id="private function"),
        pytest.param(
            'class _Hidden:\n  def shown(self): "A method of what nobody sees."', [], id="method of a private class"
        ),
        pytest.param('def f(): "Return self."', [], id="says nothing"),
        pytest.param("def f(): return 1", [], id="no docstring"),
        pytest.param("def f(:", [], id="does not parse"),
        pytest.param('if True:\n  def f(): "Defined for one platform only, say."', [], id="not at the top level"),
    ],
)
def test_what_is_documented_and_public_becomes_a_passage(source: str, titles: list[str]) -> None:
    assert [passage.title for passage in parse(source)] == titles


def test_a_signature_before_the_text_is_left_out() -> None:
    source = (
        'def einsum(): """einsum(equation, *operands) -> Tensor\n\nSums the product of the elements of the operands."""'
    )
    assert parse(source)[0].abstract == "Sums the product of the elements of the operands."


@pytest.mark.parametrize(
    ("package", "source", "exports"),
    [
        pytest.param("p", "from ._impl import unique", {("p._impl", "unique"): "p.unique"}, id="one name"),
        pytest.param("p", "from ._impl import a as b", {("p._impl", "a"): "p.b"}, id="renamed"),
        pytest.param("p", "from p.sub._impl import *", {("p.sub._impl", "*"): "p"}, id="everything, absolute"),
        pytest.param("p.q", "from .._impl import a", {("p._impl", "a"): "p.q.a"}, id="from the parent"),
        pytest.param("p", "from . import sub", {("p", "sub"): "p.sub"}, id="a module"),
        pytest.param(
            "p", "try:\n  from ._fast import f\nexcept ImportError: pass", {("p._fast", "f"): "p.f"}, id="try"
        ),
        pytest.param("p", "def late():\n  from ._impl import a", {}, id="inside a function"),
    ],
)
def test_exports_of_a_package(package: str, source: str, exports: dict[tuple[str, str], str]) -> None:
    assert parse_exports(package, source.encode()) == exports


@pytest.mark.parametrize(
    ("module", "exports", "title"),
    [
        pytest.param("p._impl", {("p._impl", "f"): "p.f"}, "p.f", id="offered by the package"),
        pytest.param("p.a._impl", {("p.a._impl", "*"): "p.a", ("p.a", "f"): "p.f"}, "p.f", id="offered twice over"),
        pytest.param("p.a", {("p.a", "f"): "p.b.c.f"}, "p.a.f", id="offered deeper: its own name is better"),
        pytest.param("p.a", {("p.a", "f"): "p.b.f", ("p.b", "f"): "p.a.f"}, "p.a.f", id="offered in a circle"),
    ],
)
def test_a_title_is_the_name_under_which_the_package_offers_it(
    module: str, exports: dict[tuple[str, str], str], title: str
) -> None:
    source = 'def f(): "What this function does, in one sentence."'
    assert [passage.title for passage in parse(source, module=module, exports=exports)] == [title]


def test_a_private_module_that_nobody_offers_gives_nothing() -> None:
    assert parse('def f(): "What this function does, in one sentence."', module="p._impl") == []


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package on the import path that would fail if it were imported."""
    root = tmp_path / "sidecar_test_package"
    (root / "tests").mkdir(parents=True)
    (root / "__init__.py").write_text("from ._impl import short, same\nraise RuntimeError('imported')\n")
    (root / "_impl.py").write_text(
        'def short(): "A text that is on the short side."\n'
        'def same(): "A text that is on the short side."\n'
        'def not_offered(): "A text that is not on offer at all."\n'
    )
    (root / "deep.py").write_text('def long():\n  """A text that goes on for longer.\n\n  And on."""\n')
    (root / "tests" / "test_it.py").write_text('def test_it(): "A test that nobody wants to search for."\n')
    monkeypatch.syspath_prepend(tmp_path)
    return root


def test_packages_are_read_without_being_imported(package: Path) -> None:
    passages = read_passages(2, [package.name, "no_such_package_anywhere"])
    assert [passage.title for passage in passages] == [f"{package.name}.same", f"{package.name}.deep.long"]
    assert package.name not in sys.modules


def test_the_standard_library_makes_up_for_missing_packages() -> None:
    titles = [passage.title for passage in read_passages(500, ["no_such_package_anywhere"])]
    assert len(titles) == 500
    assert "json.dumps" in titles


def test_installed_packages_give_many_distinct_passages_and_always_the_same() -> None:
    passages = read_passages(400, ["aiohttp", "numpy"])
    assert len({passage.id for passage in passages}) == len(passages) == 400
    assert len({(passage.abstract, passage.content) for passage in passages}) == len(passages)
    assert passages == read_passages(400, ["aiohttp", "numpy"])
    assert "numpy.unique" in {passage.title for passage in passages}


def test_a_passage_is_a_document() -> None:
    passage = Passage("numpy.unique", "Find the unique elements of an array.", "")
    assert json.loads(json.dumps(passage.to_source())) == {
        "title": "numpy.unique",
        "abstract": "Find the unique elements of an array.",
        "content": "",
    }
