"""The modules of the package, as the checks see them."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from tests.support.folders import ROOT

PACKAGE: Final = ROOT / "sidecar"
_GENERATED: Final = "contract"
_PURE: Final = re.compile(r"(?<![^\s(])Pure\.(?=\s|\)|$)")


@dataclass(frozen=True)
class Module:
    """One file of the package."""

    path: Path  # from the root of the repository

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse((ROOT / self.path).read_text("utf-8"))

    @property
    def name(self) -> str:
        """As it is imported."""
        parts = self.path.with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def says_pure(self) -> bool:
        """Whether its docstring has the sentence `Pure.`."""
        return bool(_PURE.search(ast.get_docstring(self.tree) or ""))

    @property
    def behaves(self) -> bool:
        """Whether it holds code to test: constants, types and protocols do nothing by themselves."""
        return any(_does_something(node) for node in self._nodes_outside_protocols(self.tree))

    def _nodes_outside_protocols(self, node: ast.AST) -> Iterator[ast.AST]:
        yield node
        for child in ast.iter_child_nodes(node):
            if not (isinstance(child, ast.ClassDef) and any(_last_name(base) == "Protocol" for base in child.bases)):
                yield from self._nodes_outside_protocols(child)


def modules() -> list[Module]:
    """Every module that we write ourselves."""
    paths = (path.relative_to(ROOT) for path in PACKAGE.rglob("*.py"))
    return [Module(path) for path in sorted(paths) if _GENERATED not in path.parts]


def _does_something(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not all(map(_is_empty, node.body))


def _is_empty(statement: ast.stmt) -> bool:
    """A docstring, `...` or `pass`."""
    return isinstance(statement, ast.Pass) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )


def _last_name(node: ast.expr) -> str:
    """The `c` of `a.b.c` and of `a.b.c[d]`."""
    match node:
        case ast.Subscript(value=value):
            return _last_name(value)
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""
