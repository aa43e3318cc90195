"""What `_source` keeps of a document, as OpenSearch 2.19.1 was seen to keep it."""

import pytest

from sidecar.source_filter import SourceFilter
from tests.support.bindings import a_binding

EVERYTHING = ("embedding", "embedding_meta", "title", "abstract")


@pytest.mark.parametrize(
    ("source", "lost"),
    [
        pytest.param(None, (), id="none"),
        pytest.param({"enabled": True}, (), id="enabled"),
        pytest.param({"enabled": False}, EVERYTHING, id="disabled"),
        pytest.param({"enabled": "false"}, EVERYTHING, id="disabled by a string"),
        pytest.param({"includes": []}, (), id="no includes"),
        pytest.param({"includes": ["*"]}, (), id="all included"),
        pytest.param({"includes": ["title", "abstract", "embedding*"]}, (), id="ours included by a pattern"),
        pytest.param({"includes": ["title", "abstract", "embedding", "embedding_meta"]}, (), id="an object included"),
        pytest.param({"includes": ["title", "abstract", "embedding", "embedding_meta.*"]}, (), id="its members included"),
        pytest.param({"includes": ["title"]}, ("embedding", "embedding_meta", "abstract"), id="one source included"),
        pytest.param({"includes": ["t?tle"]}, EVERYTHING, id="only * is special"),
        pytest.param({"excludes": ["blob", "a.title", "title.x", "titles"]}, (), id="others excluded"),
        pytest.param({"excludes": ["embedding"]}, ("embedding",), id="the vector excluded"),
        pytest.param({"excludes": ["emb*"]}, ("embedding", "embedding_meta"), id="ours excluded by a pattern"),
        pytest.param({"excludes": ["*.hash"]}, ("embedding_meta",), id="a member of the provenance excluded"),
        pytest.param({"excludes": ["*_meta.about.m*"]}, ("embedding_meta",), id="a deep member excluded"),
        pytest.param({"excludes": ["abs*"]}, ("abstract",), id="a source excluded"),
        pytest.param({"includes": ["*"], "excludes": ["title"]}, ("title",), id="excludes win"),
        pytest.param({"includes": 5, "excludes": {"a": 1}}, (), id="not patterns"),
    ],
)  # fmt: skip
def test_the_parts_of_a_binding_that_are_left_out(source: object, lost: tuple[str, ...]) -> None:
    assert SourceFilter.parse(source).lost(a_binding()) == lost


def test_a_source_inside_an_object_is_left_out_with_it() -> None:
    binding = a_binding(source=("a.b.title",))

    assert [SourceFilter(excludes=(one,)).lost(binding) for one in ("a", "a.b", "a.b.title", "*.title", "b")] == [
        ("a.b.title",)
    ] * 4 + [()]
    assert SourceFilter(includes=("a.b", "emb*")).lost(binding) == ()
