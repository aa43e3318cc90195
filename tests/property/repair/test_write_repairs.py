"""Whatever a document holds, one write makes it right, or marks it where there is no vector."""

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sidecar.embedded_texts import EmbeddedTexts, texts_by_space
from sidecar.ports import EmbeddedText, Embeddings, Space
from sidecar.provenance import provenance_hash, well_formed
from sidecar.repair.documents import Kind, StoredDocument, faults
from sidecar.repair.write_repairs import plan_write
from tests.support.bindings import SPACE, a_binding, bound

BINDING = a_binding(source=("title",))
BOUND = bound(BINDING)
ANSWER = Embeddings("m@1", SPACE, "torch", np.array([[0.5, 0.25]], np.float32), (EmbeddedText(0),))

TEXTS = st.one_of(st.none(), st.integers(), st.sampled_from(["", "a", "b", "\ud800"]), st.just(["a", ["b"]]))
HASHES = st.sampled_from([None, "", *(provenance_hash(text, BINDING) for text in ("a", "b", "a\nb"))])
MARKS = st.sampled_from([1, None])
ABOUT = st.one_of(st.none(), st.fixed_dictionaries({}, optional={"model": st.sampled_from(["m@1", "n@1"])}))
PROVENANCES = st.one_of(
    st.none(),
    st.just("ok"),
    st.fixed_dictionaries({}, optional={"hash": HASHES, "pending": MARKS, "client": MARKS, "about": ABOUT}),
)
SOURCES = st.fixed_dictionaries({}, optional={
    "title": TEXTS, "embedding_meta": PROVENANCES, "embedding_meta.pending": st.just(1), "year": st.integers(),
})  # fmt: skip


def document(source: dict, *, has_vector: bool) -> StoredDocument:
    return StoredDocument("papers", "1", None, 0, 1, source, frozenset({"embedding"} if has_vector else ()))


def run(lines: bytes, source: dict) -> dict:
    """What the script does."""
    params = json.loads(lines.splitlines()[1])["script"]["params"]
    kept = {
        key: value
        for key, value in source.items()
        if key not in params["gone"] and not key.startswith(tuple(params["dotted"]))
    }
    return kept | params["set"]


@given(source=SOURCES, has_vector=st.booleans(), is_refused=st.booleans())
def test_one_write_is_enough(source: dict, has_vector: bool, is_refused: bool) -> None:
    before = source | ({"embedding": [1, 0]} if has_vector else {})
    found = faults(document(source, has_vector=has_vector), BOUND)
    if not found:
        return
    texts = texts_by_space(fault for fault in found if fault.text).get(Space("m@1", SPACE), ())
    assert texts == ((well_formed(found[0].text),) if found[0].text else ())

    embedded = EmbeddedTexts()
    for text in texts:
        if is_refused:
            embedded.refuse(Space("m@1", SPACE), text, "refused")
        else:
            embedded.add(Space("m@1", SPACE), (text,), ANSWER)
    one = plan_write(found, embedded)
    after = run(one.lines, before) if one.lines else before
    left = faults(document(after, has_vector=after.get("embedding") is not None), BOUND)

    if is_refused and texts:
        assert [(fault.kind, fault.is_marked) for fault in left] == [(Kind.PENDING, True)]
    else:
        assert left == ()
    assert after.get("title") == source.get("title")
    assert after.get("year") == source.get("year")
