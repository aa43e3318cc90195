import pytest

from sidecar.errors import InvalidInput
from sidecar.model import Binding, IndexBinding, SpaceType
from sidecar.templates import naming


def bound(**changes):
    values = {
        "field": "embedding",
        "model": "all-minilm-l6-v2@1",
        "space": "sha256:" + "0" * 64,
        "dimension": 384,
        "space_type": SpaceType.COSINESIMIL,
        "source": ("title",),
    }
    binding = Binding.model_validate(values | changes)
    return IndexBinding(fields={binding.field: binding})


def test_names_carry_template_binding_and_model():
    names = naming.names_of("papers", "all-minilm-l6-v2@1", bound())

    digest = names.vector.removeprefix("sidecar-papers-")
    assert len(digest) == 8
    assert names == naming.TemplateNames(
        template="papers",
        index_template="sidecar-papers",
        base="sidecar-papers-base",
        vector=f"sidecar-papers-{digest}",
        guard=f"sidecar-papers-guard-{digest}",
        search=f"sidecar-papers-search-{digest}",
        first_index="papers--all-minilm-l6-v2-1-000001",
        companion="papers--companion",
    )


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"model": "all-minilm-l6-v2@2"}, id="model"),
        pytest.param({"space": "sha256:" + "1" * 64}, id="space"),
        pytest.param({"source": ("title", "abstract")}, id="source"),
        pytest.param({"join": " "}, id="join"),
        pytest.param({"space_type": SpaceType.L2}, id="space_type"),
    ],
)
def test_another_binding_has_another_guard(changes):
    guards = {naming.names_of("papers", "m@1", binding).guard for binding in (bound(), bound(**changes))}

    assert len(guards) == 2


@pytest.mark.parametrize("name", ["", "Papers", "-papers", "_papers", "pa pers", "papers*", "papers/x", "ü", "x" * 255])
def test_a_template_name_is_part_of_an_index_name(name):
    with pytest.raises(InvalidInput, match=r"^template: "):
        naming.names_of(name, "all-minilm-l6-v2@1", bound())


@pytest.mark.parametrize("name", ["", "a.b", "_id", "1st", "a b", "a*"])
def test_a_vector_field_is_a_plain_top_level_name(name):
    with pytest.raises(InvalidInput, match=r"^field: "):
        naming.check_field_name(name)


@pytest.mark.parametrize(
    "patterns", [[], [""], ["*"], ["**"], ["Papers*"], ["a,b"], ["-a"], ["_a*"], ["a b"], ["a" * 256]]
)
def test_patterns_that_cannot_be_installed_are_refused(patterns):
    with pytest.raises(InvalidInput, match=r"^index_patterns: "):
        naming.check_patterns(patterns)


@pytest.mark.parametrize("pattern", ["papers", "papers*", "*-papers", ".papers", "größe*", "a*b*c"])
def test_patterns_that_can_be_installed_are_accepted(pattern):
    naming.check_patterns([pattern])


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        pytest.param("papers*", "papers-1", True, id="pattern and name"),
        pytest.param("papers*", "papers", True, id="star for nothing"),
        pytest.param("papers*", "paper*", True, id="one within the other"),
        pytest.param("papers*", "*-old", True, id="ends that meet"),
        pytest.param("papers*", "books*", False, id="nothing in common"),
        pytest.param("papers", "papers-1", False, id="two names"),
        pytest.param("a*c", "a*d", False, id="other ends"),
        pytest.param("a*b*", "*b*a", True, id="stars on both sides"),
        pytest.param("*", "", True, id="star and nothing"),
    ],
)
def test_overlap(one, other, expected):
    assert naming.overlap(one, other) is expected
    assert naming.overlap(other, one) is expected


@pytest.mark.parametrize(
    ("pattern", "index"),
    [
        pytest.param("papers", "papers", id="name"),
        pytest.param("papers*", "papers", id="star at the end"),
        pytest.param("*-papers", "0-papers", id="shortest cannot be a name"),
        pytest.param(".*", ".0", id="only a dot"),
    ],
)
def test_example_of_a_pattern(pattern, index):
    assert naming.example(pattern) == index


@pytest.mark.parametrize(
    ("path", "template"),
    [
        pytest.param("/_index_template/sidecar-papers", "papers", id="index template"),
        pytest.param("/_component_template/sidecar-papers-base", "papers", id="base"),
        pytest.param("/_component_template/sidecar-papers-0123abcd", "papers", id="vector"),
        pytest.param("/_ingest/pipeline/sidecar-papers-guard-0123abcd", "papers", id="guard"),
        pytest.param("/_search/pipeline/sidecar-papers-search-0123abcd", "papers", id="search"),
        pytest.param("/_index_template/sidecar-papers-base", "papers-base", id="template called as a part of another"),
        pytest.param("/_component_template/sidecar-papers-base-base", "papers-base", id="its base"),
        pytest.param("/_index_template/papers", None, id="somebody else's"),
        pytest.param("/_ingest/pipeline/sidecar-papers-guard-old", None, id="no digest"),
    ],
)
def test_a_document_has_one_owner(path, template):
    owners = [name for name in ("papers", "papers-base", "papers-guard", "paper") if naming.owns(name, path)]

    assert owners == ([] if template is None else [template])
