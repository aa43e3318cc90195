"""What makes a module pure, and what makes it a shell."""

from pathlib import Path

import pytest

from tests.checks import purity
from tests.checks.modules import Module


@pytest.fixture
def module(tmp_path: Path):
    def write(source: str, docstring: str = "Something.") -> Module:
        path = tmp_path / "one.py"
        path.write_text(f'"""{docstring}"""\n{source}\n')
        return Module(path)

    return write


@pytest.mark.parametrize(
    ("docstring", "says"),
    [
        ("What it does. Pure.", True),
        ("What it does.\n\nPure. Documents in, findings out.", True),
        ("What it does: pure.", False),
        ("Pure, in two steps.", False),
        ("A pure function of `Pure.x`.", False),
    ],
)
def test_the_sentence(module, docstring: str, says: bool) -> None:
    assert module("", docstring).says_pure == says


@pytest.mark.parametrize(
    ("source", "behaves"),
    [
        ("A = 1", False),
        ("class A(Protocol):\n    def f(self) -> int:\n        return 1", False),
        ("class A:\n    def f(self) -> int: ...", False),
        ("class A(StrEnum):\n    X = 'x'", False),
        ("def f() -> int:\n    return 1", True),
    ],
)
def test_constants_types_and_protocols_do_nothing(module, source: str, behaves: bool) -> None:
    assert module(source).behaves == behaves


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def f(path):\n    return path.read_text()", ["calls read_text (line 3)"]),
        ("async def f(): pass", ["waits in f (line 2)"]),
        ("def f(text):\n    return text.strip()", []),
    ],
)
def test_input_and_output_in_a_body(module, source: str, found: list[str]) -> None:
    assert list(purity._impure_code(module(source))) == found
