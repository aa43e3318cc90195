"""The fields that make a search one by meaning, over several indices."""

import pytest

from sidecar.bridge.searches.rewrite.text_fields import TextFields
from tests.support.bindings import an_index


@pytest.mark.parametrize(
    ("default_fields", "by_default"),
    [
        pytest.param((("*",), ("*",)), True, id="every field"),
        pytest.param((("title^2", "sku"), ("ab*",)), True, id="a text of each index"),
        pytest.param((("*",), ("sku",)), False, id="no text of one index"),
    ],
)
def test_a_clause_without_fields_looks_at_the_default_fields(
    default_fields: tuple[tuple[str, ...], ...], by_default: bool
) -> None:
    indices = [an_index(str(number), default_fields=fields) for number, fields in enumerate(default_fields)]

    assert TextFields.of(indices, "embedding") == TextFields(frozenset({"title", "abstract"}), by_default)


def test_a_field_must_be_a_text_in_every_index() -> None:
    other = an_index("b", text_fields={"embedding": frozenset({"title", "title.words"})})

    assert TextFields.of([an_index(), other], "embedding").names == {"title"}
