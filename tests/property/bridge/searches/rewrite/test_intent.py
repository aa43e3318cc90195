"""A search made semantic is never wider: what the vector leg may find meets every constraint of the client's query."""

from hypothesis import given
from hypothesis import strategies as st

from sidecar.bridge.searches.rewrite.intent import Intent
from sidecar.bridge.searches.rewrite.minimum import minimum_of
from sidecar.bridge.searches.rewrite.text_fields import TextFields
from sidecar.jsontext import Json

TAGS = ("a", "b", "c")

terms = st.sampled_from(TAGS).map(lambda tag: {"term": {"tag": tag}})
bound_texts = st.sampled_from(TAGS).map(lambda word: {"match": {"title": word}})
other_texts = st.sampled_from(TAGS).map(lambda word: {"match": {"tag": word}})


def compounds(children: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    lists = st.lists(children, max_size=3)
    kinds: dict[str, st.SearchStrategy[Json]] = dict.fromkeys(("must", "should", "filter", "must_not"), lists)
    kinds["minimum_should_match"] = st.sampled_from((0, 1, "1", 2, -1, "50%", "100%", "1<2"))
    return st.fixed_dictionaries({}, optional=kinds).map(lambda spec: {"bool": spec}) | lists.map(  # type: ignore[return-value]
        lambda queries: {"dis_max": {"queries": queries}}
    )


queries = st.recursive(terms | bound_texts | other_texts, compounds, max_leaves=12)


def matches(query: Json, document: frozenset[str], *, by_meaning: bool) -> bool:
    """Whether a document (its tags) matches, as Lucene reads the query; a scoring text matches whatever is near it."""
    assert isinstance(query, dict)
    ((kind, spec),) = query.items()
    assert isinstance(spec, dict)
    if kind == "bool":
        parts = {name: spec.get(name, []) for name in ("must", "should", "filter", "must_not")}
        found = {
            name: [matches(q, document, by_meaning=by_meaning and name in ("must", "should")) for q in listed]
            for name, listed in parts.items()
            if isinstance(listed, list)
        }
        is_optional = bool(found["must"] or found["filter"])
        wanted = minimum_of(spec.get("minimum_should_match", 0), len(found["should"]))
        if wanted is None:  # "1<2": all, or two if there are several
            wanted = min(2, len(found["should"]))
        elif not is_optional:
            wanted = max(1, wanted)
        return (
            all(found["must"])
            and all(found["filter"])
            and not any(found["must_not"])
            and (not found["should"] or sum(found["should"]) >= wanted)
        )
    if kind == "dis_max":
        listed = spec["queries"]
        return isinstance(listed, list) and any(matches(q, document, by_meaning=by_meaning) for q in listed)
    ((field, value),) = spec.items()
    return (by_meaning and field == "title") or value in document


@given(query=queries, document=st.frozensets(st.sampled_from(TAGS)))
def test_the_vector_leg_meets_every_constraint(query: Json, document: frozenset[str]) -> None:
    intent = Intent(TextFields(frozenset({"title"})))
    reason = intent.take(query)
    if reason is not None or not intent.text:
        return

    allowed = intent.knn_filter is None or matches(intent.knn_filter, document, by_meaning=False)

    assert not allowed or matches(query, document, by_meaning=True)
