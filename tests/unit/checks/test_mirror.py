"""Which tests a module must have."""

from pathlib import Path

import pytest

from tests.checks import mirror
from tests.checks.modules import Module

PURE, SHELL = '"""Rules. Pure."""\ndef f():\n    return 1\n', '"""A shell."""\ndef f():\n    return 1\n'


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("tests.checks.mirror", "tests.checks.modules"):
        monkeypatch.setattr(f"{name}.ROOT", tmp_path)
        monkeypatch.setattr(f"{name}.PACKAGE", tmp_path / "sidecar")
    return tmp_path


def missing(root: Path, source: str, *tests: str, path: str = "sidecar/room/one.py") -> list[str]:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(source)
    for test in tests:
        (root / "tests" / test).parent.mkdir(parents=True, exist_ok=True)
        (root / "tests" / test).touch()
    return list(mirror._without_tests(Module(Path(path))))


def test_a_pure_module_has_a_unit_test_of_its_name(root: Path) -> None:
    sentence = ["sidecar/room/one.py is pure and has no tests/unit/room/test_one.py"]

    assert missing(root, PURE) == sentence
    assert missing(root, PURE, "unit/room/test_one_more.py", "cluster/room/test_one.py") == sentence
    assert missing(root, PURE, "unit/room/test_one.py") == []


@pytest.mark.parametrize(
    "test", ["unit/room/test_one.py", "integration/room/test_one.py", "cluster/room/test_one_x.py"]
)
def test_a_shell_has_a_test_in_one_of_the_tiers(root: Path, test: str) -> None:
    assert missing(root, SHELL) == [
        "sidecar/room/one.py has no tests/{unit,integration,cluster}/room/test_one[_ASPECT].py"
    ]
    assert missing(root, SHELL, "cluster/test_one.py", "unit/room/test_ones.py") != []
    assert missing(root, SHELL, test) == []


def test_the_code_of_a_package_has_test_init(root: Path) -> None:
    assert missing(root, PURE, "unit/room/test_init.py", path="sidecar/room/__init__.py") == []


def test_a_file_without_a_test_is_found(tmp_path: Path) -> None:
    empty, full = tmp_path / "test_empty.py", tmp_path / "test_full.py"
    empty.write_text('"""Nothing."""\n')
    full.write_text("class TestIt:\n    async def test_it(self): ...\n")

    assert not mirror._tests_something(empty)
    assert mirror._tests_something(full)
