"""A corpus that is on every machine: the docstrings of the Python packages installed beside us.

Source files are parsed, never imported. That is quick for thousands of modules, and runs nobody's code. The choice and
its order depend only on the installed packages, so that two runs index the same passages.
"""

import ast
import importlib.util
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Final, TypeAlias

PACKAGES: Final = ("numpy", "scipy", "sklearn", "networkx", "pandas", "aiohttp", "torch.nn", "torch.optim")

_SHORTEST_ABSTRACT: Final = 30  # characters: a shorter one ("Return self.") says nothing to search for
_NOT_DOCUMENTED_THERE: Final = frozenset({"tests", "test", "testing", "externals", "conftest.py"})

_Definition: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_Exports: TypeAlias = dict[tuple[str, str], str]  # (module, name or "*") -> public dotted name, for "*" of the package


@dataclass(frozen=True, slots=True)
class Passage:
    """One docstring: the name it belongs to, its first paragraph and the rest."""

    title: str  # dotted name under which the package offers it: unique, so that it is the document's id
    abstract: str
    content: str

    @property
    def id(self) -> str:
        return self.title

    def to_source(self) -> dict[str, str]:
        """The members of a document."""
        return {"title": self.title, "abstract": self.abstract, "content": self.content}


def read_passages(limit: int, packages: Sequence[str] = PACKAGES) -> list[Passage]:
    """At most `limit` passages, from the packages in turn: of each the shortest names first, then the longest texts.

    So a package's own functions come before those of its modules and before methods, and long explanations before
    short ones. Packages that are not installed are skipped. If the others give too little, the standard library
    follows.
    """
    passages = _distinct(_in_turn(packages))
    if len(passages) < limit:
        library = sorted(name for name in sys.stdlib_module_names if not name.startswith("_"))
        passages = _distinct([*passages, *_in_turn(library)])
    return passages[:limit]


def parse_passages(module: str, source: bytes, exports: _Exports) -> Iterator[Passage]:
    """The passages of one module's source: its public functions, classes and their methods.

    Titles are the names under which `exports` (see `parse_exports`) offers them. A definition without a public name is
    left out. A source that does not parse has no passages.
    """
    for node in _parse(source).body:
        if isinstance(node, _Definition):
            title = _public_name(module, node.name, exports)
            if _is_public(title):
                yield from _documented(node, title)


def parse_exports(package: str, source: bytes) -> _Exports:
    """The names that the `__init__.py` of a package offers: `from ._impl import unique` makes `package.unique`."""
    exports: _Exports = {}
    for node in _top_level(_parse(source).body):
        if isinstance(node, ast.ImportFrom):
            module = _absolute(package, node)
            for alias in node.names:
                public = package if alias.name == "*" else f"{package}.{alias.asname or alias.name}"
                exports.setdefault((module, alias.name), public)
    return exports


def _in_turn(packages: Iterable[str]) -> Iterator[Passage]:
    by_package = [sorted(_package(package), key=_rank) for package in packages]
    return (passage for turn in zip_longest(*by_package) for passage in turn if passage is not None)


def _rank(passage: Passage) -> tuple[int, int, str]:
    return passage.title.count("."), -len(passage.content), passage.title


def _distinct(passages: Iterable[Passage]) -> list[Passage]:
    by_title: dict[str, Passage] = {}
    texts: set[tuple[str, str]] = set()
    for passage in passages:
        text = (passage.abstract, passage.content)
        if passage.title not in by_title and text not in texts:
            by_title[passage.title] = passage
            texts.add(text)
    return list(by_title.values())


def _package(name: str) -> Iterator[Passage]:
    modules = dict(_modules(name))
    exports: _Exports = {}
    for module, file in modules.items():
        if file.name == "__init__.py":
            for origin, public in parse_exports(module, file.read_bytes()).items():
                exports.setdefault(origin, public)
    offering = {module for module, _ in exports}
    for module, file in modules.items():
        if _is_public(module) or module in offering:  # private modules only if they are offered: parsing is slow
            yield from parse_passages(module, file.read_bytes(), exports)


def _modules(name: str) -> Iterator[tuple[str, Path]]:
    top, *inner = name.split(".")
    try:
        spec = importlib.util.find_spec(top)  # a top-level name is only looked for, and nothing runs
    except ValueError:  # a module of the interpreter without a spec
        return
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return
    if spec.submodule_search_locations is None:
        yield name, Path(spec.origin)
        return
    root = Path(spec.origin).parent.joinpath(*inner)
    for file in sorted(root.rglob("*.py")):
        path = file.relative_to(root)
        if _NOT_DOCUMENTED_THERE.isdisjoint(path.parts):
            parts = path.parent.parts if path.name == "__init__.py" else path.with_suffix("").parts
            yield ".".join((name, *parts)), file


def _parse(source: bytes) -> ast.Module:
    with warnings.catch_warnings(action="ignore"):  # about the authors' string escapes, which are not ours to report
        try:
            return ast.parse(source)
        except (SyntaxError, ValueError, RecursionError):  # a template, or code for another version of Python
            return ast.Module(body=[], type_ignores=[])


def _top_level(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try):
            yield from _top_level([*node.body, *node.orelse])


def _absolute(package: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    base = parts[: len(parts) - (node.level - 1)]
    return ".".join([*base, *([node.module] if node.module else [])])


def _public_name(module: str, name: str, exports: _Exports) -> str:
    """Follow the exports upwards, from the module that defines a name to the outermost package that offers it."""
    while True:
        public = exports.get((module, name))
        if public is None and (package := exports.get((module, "*"))) is not None:
            public = f"{package}.{name}"
        if public is None or public.count(".") > module.count("."):  # sideways or down: no better name
            return f"{module}.{name}"
        module, _, name = public.rpartition(".")


def _is_public(dotted: str) -> bool:
    return not any(part.startswith("_") for part in dotted.split("."))


def _documented(node: _Definition, title: str) -> Iterator[Passage]:
    passage = _passage(node, title)
    if passage is not None:
        yield passage
    if isinstance(node, ast.ClassDef):
        for member in node.body:
            if isinstance(member, _Definition) and not member.name.startswith("_"):
                yield from _documented(member, f"{title}.{member.name}")


def _passage(node: _Definition, title: str) -> Passage | None:
    paragraphs = (ast.get_docstring(node) or "").split("\n\n")
    if paragraphs[0].startswith(f"{node.name}("):  # C extensions put the signature first
        del paragraphs[0]
    if not paragraphs:
        return None
    abstract = " ".join(paragraphs[0].split())
    if len(abstract) < _SHORTEST_ABSTRACT:
        return None
    return Passage(title, abstract, "\n\n".join(paragraphs[1:]).strip())
