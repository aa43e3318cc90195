import json
import sys
import unicodedata

import pytest

from sidecar.model import Binding, SpaceType
from sidecar.provenance import is_blank, provenance_hash, source_text, well_formed
from tests.support.folders import GOLDEN

CASES = json.loads((GOLDEN / "provenance.json").read_text("ascii"))


def binding_of(case):
    return Binding(
        field="embedding",
        model="some-model@1",
        space=case["space"],
        dimension=2,
        space_type=SpaceType.L2,
        source=tuple(case["source"]),
        join=case["join"],
        chunking=case["chunking"],
    )


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in CASES])
def test_text_and_hash_are_the_golden_ones(case):
    text = source_text(case["document"], binding_of(case))

    assert text == case["text"]
    if text:
        assert provenance_hash(text, binding_of(case)) == case["hash"]


def test_every_case_has_its_own_name():
    assert len({case["id"] for case in CASES}) == len(CASES)


def test_an_integer_beyond_64_bits_gives_nothing():
    """No golden case: the script processor of OpenSearch 2.19 fails on it (see tests/cluster/templates/test_guard.py)."""
    assert source_text({"title": [2**64, "a"]}, binding_of(CASES[0])) == "a"


@pytest.mark.parametrize("document", [None, "title", ["title"], 1, True])
def test_what_is_not_an_object_has_no_text(document):
    assert source_text(document, binding_of(CASES[0])) == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("Größe \U0001f600", "Größe \U0001f600", id="well-formed stays"),
        pytest.param("a\ud800b", "a?b", id="high surrogate"),
        pytest.param("\udc00\ud800", "??", id="wrong order"),
    ],
)
def test_lone_surrogates_become_question_marks(text, expected):
    assert well_formed(text) == expected


def test_the_blanks_are_those_of_unicode_13() -> None:
    """A newer Python may know more of them. The guard's list is the same (tests/cluster/templates/test_guard.py)."""
    blanks = {code for code in range(sys.maxunicode + 1) if is_blank(chr(code))}

    kinds = {"Cc", "Cf", "Zs", "Zl", "Zp"}
    assert blanks >= {code for code in range(sys.maxunicode + 1) if unicodedata.ucd_3_2_0.category(chr(code)) in kinds}
    assert len(blanks) == 245


def test_a_text_of_blanks_is_none_and_a_word_is_one() -> None:
    assert is_blank(" \t\u200b\0")
    assert not is_blank("?")
