"""Tests mirror the source: who changes a module knows which file tests it.

A pure module has a unit test of its name in the room of its name. A shell module has tests of its name, or of its name and
an aspect, in its room under one of the tiers. The code of a package is tested by `test_init.py`. A module without behaviour
needs no test, and a file without a test has no place among the tests.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.checks.modules import PACKAGE, Module, modules
from tests.support.folders import ROOT

TIERS: Final = ("unit", "integration", "cluster")
_ALL_TIERS: Final = (*TIERS, "property", "security")


def problems() -> Iterator[str]:
    """One line for each module without its tests, and for each file of tests without a test."""
    for module in modules():
        if module.behaves:
            yield from _without_tests(module)
    for tier in _ALL_TIERS:
        for path in sorted((ROOT / "tests" / tier).rglob("test_*.py")):
            if not _tests_something(path):
                yield f"{path.relative_to(ROOT)} holds no test"


def _without_tests(module: Module) -> Iterator[str]:
    room = module.path.parent.relative_to(PACKAGE.relative_to(ROOT))
    name = "init" if module.path.stem == "__init__" else module.path.stem
    if module.says_pure:
        wanted = Path("tests", "unit", room, f"test_{name}.py")
        if not (ROOT / wanted).exists():
            yield f"{module.path} is pure and has no {wanted}"
    elif not any(_is_tested(ROOT / "tests" / tier / room, name) for tier in TIERS):
        tiers = ",".join(TIERS)
        yield f"{module.path} has no {Path('tests', f'{{{tiers}}}', room)}/test_{name}[_ASPECT].py"


def _is_tested(folder: Path, name: str) -> bool:
    return (folder / f"test_{name}.py").exists() or any(folder.glob(f"test_{name}_*.py"))


def _tests_something(path: Path) -> bool:
    tree = ast.parse(path.read_text("utf-8"))
    return any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
        for node in ast.walk(tree)
    )
