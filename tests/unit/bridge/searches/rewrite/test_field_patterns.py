"""Names and patterns of fields: only `*` is special."""

import pytest

from sidecar.bridge.searches.rewrite.field_patterns import FieldPatterns


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("title", "title", True),
        ("title", "titles", False),
        ("*", "title", True),
        ("**", "title", True),
        ("t*", "title", True),
        ("*le", "title", True),
        ("t*e", "title", True),
        ("t*t*e", "title", True),
        ("ti*it*e", "title", False),
        ("*i*", "title", True),
        ("*x*", "title", False),
        ("tit*title", "title", False),
        ("title*", "title", True),
        ("*title*", "title", True),
        ("t?tle", "title", False),
        ("[t]itle", "title", False),
        ("[t]*", "[t]itle", True),
        ("", "title", False),
        ("\ud800*", "\ud800", True),
    ],
)
def test_match(pattern: str, name: str, matches: bool) -> None:
    assert FieldPatterns([pattern]).match_any(frozenset({name})) is matches


def test_one_of_many_is_enough() -> None:
    patterns = FieldPatterns(["a", "b*", "*c"])
    assert patterns.match_any(frozenset({"x", "abc"}))
    assert not patterns.match_any(frozenset({"x", "ab"}))
    assert not FieldPatterns([]).match_any(frozenset({"x"}))
