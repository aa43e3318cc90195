from hypothesis import given
from hypothesis import strategies as st

from sidecar.evaluation.docstrings import parse_exports, parse_passages

NAMES = st.sampled_from(["p", "p.a", "p._a", "p.a.b", "p._a.b"])


@given(st.binary())
def test_any_file_gives_passages_or_nothing(source: bytes) -> None:
    exports = parse_exports("package", source)
    assert all(passage.abstract for passage in parse_passages("package.module", source, exports))


@given(NAMES, st.dictionaries(st.tuples(NAMES, st.sampled_from(["f", "*"])), NAMES))
def test_any_exports_give_a_public_title_or_none(module: str, exports: dict[tuple[str, str], str]) -> None:
    source = b'def f(): "What this function does, in one sentence."'
    for passage in parse_passages(module, source, exports):
        assert not any(part.startswith("_") for part in passage.title.split("."))
