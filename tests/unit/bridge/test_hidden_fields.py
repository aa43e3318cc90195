"""What the answers about indices leave out, and which patterns of fields still match the rest."""

import pytest

from sidecar.bridge.bindings.indices import BoundIndex
from sidecar.bridge.hidden_fields import NOTHING, Hidden, hidden_in, matches, rests
from sidecar.jsontext import Json
from tests.support.bindings import a_binding, an_index, an_unbound_index, bound

OURS = frozenset(
    {("embedding", "knn_vector"), ("embedding_meta", "object"), ("embedding_meta.pending", "rank_feature")}
)
PATHS = frozenset({"embedding", "embedding_meta.pending"})
MAPPED = OURS | {("title", "text"), ("title.raw", "keyword"), ("author", "object"), ("author.name", "text")}
HIDDEN = Hidden(("embedding", "embedding_meta"), PATHS, ("author", "title"))


def with_a_field_of_its_own() -> BoundIndex:
    index = an_unbound_index()
    return BoundIndex("own", None, {}, sees_all_sources=True, search_pipeline=None, mapped=OURS | index.mapped)


@pytest.mark.parametrize(
    ("indices", "expected"),
    [
        pytest.param((), NOTHING, id="no index"),
        pytest.param((an_unbound_index(),), NOTHING, id="unbound"),
        pytest.param((an_index(mapped=MAPPED),), HIDDEN, id="bound"),
        pytest.param((an_index(mapped=MAPPED), an_unbound_index()), HIDDEN, id="bound and unbound"),
        pytest.param((an_index(mapped=MAPPED, own_vectors=frozenset({"embedding"})),),
                     Hidden(("embedding_meta",), frozenset({"embedding_meta.pending"}), ("author", "embedding", "title")),
                     id="the vectors are the client's own"),
        pytest.param((an_index(mapped=MAPPED), with_a_field_of_its_own()),
                     Hidden((), frozenset(), ("author", "embedding", "embedding_meta", "title")),
                     id="another index has fields of these names"),
        pytest.param((an_index(mapped=MAPPED, keeps_source=False),),
                     Hidden(HIDDEN.fields, PATHS, HIDDEN.others, in_source=False), id="no source"),
        pytest.param((an_index(binding=bound(a_binding(), a_binding("second"))),),
                     Hidden(("embedding", "embedding_meta", "second", "second_meta")), id="two fields"),
    ],
)  # fmt: skip
def test_hidden_in(indices: tuple[BoundIndex, ...], expected: Hidden) -> None:
    assert hidden_in(indices) == expected


@pytest.mark.parametrize(
    ("entries", "is_strict", "narrowed"),
    [
        pytest.param(["title", "embedding"], False, ["title", "embedding"], id="names are wishes"),
        pytest.param(["t*"], False, ["t*"], id="a pattern of other fields"),
        pytest.param("*", False, "*", id="no list, which the cluster refuses"),
        pytest.param(["*"], False, ["author", "author.*", "title", "title.*"], id="everything"),
        pytest.param(["*e*"], False, ["author.*e*", "title", "title.*e*", "title.*"], id="parts of names"),
        pytest.param(["embedding_meta.*", "e*"], False, [], id="only ours"),
        pytest.param([{"field": "*", "format": "x"}], False,
                     [{"field": "author", "format": "x"}, {"field": "author.*", "format": "x"},
                      {"field": "title", "format": "x"}, {"field": "title.*", "format": "x"}], id="with a format"),
        pytest.param(["*"], True, ["*"], id="strict: the cluster refuses metadata fields"),
        pytest.param(["e*"], True, [], id="strict: only ours"),
        pytest.param(["*" * 257], False, ["*" * 257], id="too long a pattern"),
        pytest.param(["*"] * 65, False, ["*"] * 65, id="too many patterns"),
        pytest.param([7, {"field": 1}], False, [7, {"field": 1}], id="what the cluster refuses"),
    ],
)  # fmt: skip
def test_patterns_are_narrowed_to_the_other_fields(entries: Json, is_strict: bool, narrowed: Json) -> None:
    assert HIDDEN.without_patterns(entries, is_strict=is_strict) == narrowed


@pytest.mark.parametrize(
    ("includes", "hidden"),
    [
        pytest.param(["title", "e*"], ("embedding", "embedding_meta"), id="a pattern is not a wish"),
        pytest.param(["embedding"], ("embedding_meta",), id="a name is one"),
        pytest.param(["embedding_meta.pending"], ("embedding",), id="so is a part of a field"),
        pytest.param(["embeddings", 7], ("embedding", "embedding_meta"), id="a longer name"),
    ],
)
def test_a_field_that_a_client_names_is_shown(includes: list[Json], hidden: tuple[str, ...]) -> None:
    assert HIDDEN.without_named(includes) == hidden


@pytest.mark.parametrize(
    ("pattern", "name", "does"),
    [
        ("*", "", True),
        ("a*c", "abbc", True),
        ("a*c", "abb", False),
        ("**a", "a", True),
        ("a", "ab", False),
        ("", "", True),
        ("*a*b*", "xaxbx", True),
    ],
)
def test_matches(pattern: str, name: str, does: bool) -> None:
    assert matches(pattern, name) == does


def test_a_long_pattern_takes_no_time_that_doubles_with_each_star() -> None:
    assert not matches("*a" * 2_000, "a" * 1_999)


def test_rests() -> None:
    assert rests("t*.raw", "title.") == ("*.raw", "raw")
