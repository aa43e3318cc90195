"""Texts become vectors and provenances, the same for the bridge and for `repair`."""

from dataclasses import dataclass

import numpy as np

from sidecar.embedded_texts import EmbeddedTexts, StoredVector, texts_by_space
from sidecar.model import Binding, Provenance, State
from sidecar.ports import EmbeddedText, Embeddings, Space
from sidecar.provenance import provenance_hash
from tests.support.bindings import SPACE, a_binding

M1 = Space("m@1", SPACE)
BINDING = a_binding()


@dataclass(frozen=True)
class Text:
    text: str
    binding: Binding = BINDING


def answered(*items: EmbeddedText, numbers: tuple[float, ...] = (0.5, 0.1)) -> Embeddings:
    return Embeddings("m@1", SPACE, "torch", np.array([numbers], np.float32), items)


def pending(text: str) -> StoredVector:
    return StoredVector(None, Provenance(hash=provenance_hash(text, BINDING), state=State.PENDING))


def test_texts_are_embedded_once_for_each_space_and_well_formed() -> None:
    other = a_binding("b", model="n@1", space="sha256:" + "b" * 64)
    texts = [Text("a\ud800"), Text("a?"), Text("a\ud800", other), Text("b")]

    assert texts_by_space(texts) == {M1: ("a?", "b"), Space("n@1", other.space): ("a?",)}


def test_a_vector_is_stored_in_shortest_decimals_beside_its_provenance() -> None:
    texts = EmbeddedTexts()
    texts.add(M1, ("a?",), answered(EmbeddedText(0, truncated=True, cached=True)))

    stored = texts.find(Text("a\ud800"))

    assert (stored.vector, stored.is_cached) == (b"[0.5,0.1]", True)
    assert stored.provenance.to_source() == {
        "hash": provenance_hash("a\ud800", BINDING), "about": {"model": "m@1", "backend": "torch", "truncated": True},
    }  # fmt: skip
    assert texts.refusal(Text("a?")) is None


def test_a_text_that_the_embedder_refuses_is_pending_and_says_why() -> None:
    texts = EmbeddedTexts()
    texts.add(M1, ("odd",), answered(EmbeddedText(-1, error="too odd")))
    texts.refuse(M1, "worse", "NaN")

    assert (texts.find(Text("odd")), texts.refusal(Text("odd"))) == (pending("odd"), "too odd")
    assert (texts.find(Text("worse")), texts.refusal(Text("worse"))) == (pending("worse"), "NaN")


def test_a_text_without_an_answer_or_with_one_of_another_dimension_is_pending() -> None:
    texts = EmbeddedTexts()
    texts.add(M1, ("short",), answered(EmbeddedText(0), numbers=(0.5,)))

    assert texts.find(Text("unasked")) == pending("unasked")
    assert texts.find(Text("short")) == pending("short")
    assert texts.refusal(Text("short")) is None
