import fnmatch

from hypothesis import given
from hypothesis import strategies as st

from sidecar.templates import naming
from sidecar.templates.changes import comparable

patterns = st.text("ab*", max_size=6)
names = st.text("ab", max_size=6)
settings = st.recursive(
    st.booleans() | st.integers(0, 9) | st.lists(st.sampled_from("ab")),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, min_size=1, max_size=3),
    max_leaves=8,
)


@given(patterns, names)
def test_a_name_overlaps_with_the_patterns_that_match_it(pattern, name):
    assert naming.overlap(pattern, name) == fnmatch.fnmatchcase(name, pattern)


@given(patterns, patterns, names)
def test_patterns_that_match_one_name_overlap(one, other, name):
    if fnmatch.fnmatchcase(name, one) and fnmatch.fnmatchcase(name, other):
        assert naming.overlap(one, other)
    assert naming.overlap(one, other) == naming.overlap(other, one)


@given(st.text("ab*-", min_size=1, max_size=6).filter(lambda pattern: pattern[0] != "-" and pattern.strip("*")))
def test_the_example_of_a_pattern_matches_it(pattern):
    assert naming.overlap(pattern, naming.example(pattern))


def spelled_by_opensearch(value):
    match value:
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case dict():
            return {key: spelled_by_opensearch(inner) for key, inner in value.items()}
    return value


@given(st.dictionaries(st.sampled_from("abc"), settings, max_size=3))
def test_the_clusters_spelling_of_settings_compares_equal(given_settings):
    path = naming.COMPONENT_TEMPLATE + "x"
    theirs = {"template": {"settings": {"index": spelled_by_opensearch(given_settings)}}}

    assert comparable(path, {"template": {"settings": given_settings}}) == comparable(path, theirs)
