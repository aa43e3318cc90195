import numpy as np

from sidecar.embedding.replies import EMPTY, Failure, distinct, items, outcomes, too_long
from sidecar.embedding.tokenizing import TokenizedText


def text(tokens: int, dropped: int = 0) -> TokenizedText:
    return TokenizedText(np.zeros(tokens, dtype=np.int32), dropped)


def test_distinct_keeps_the_order_of_first_appearance() -> None:
    found = distinct(["b", "a", "b", "c", "a"])
    assert found.texts == ("b", "a", "c")
    assert found.index == (0, 1, 0, 2, 1)


def test_every_kind_of_outcome_in_one_reply() -> None:
    texts: list[TokenizedText | Failure] = [text(3), EMPTY, text(4, dropped=2), text(5), text(6)]
    found, kept = outcomes(texts, [0, 2, 3, 4], {2: "it broke"}, np.array([True, True, True, False]))
    made = items(found, [0, 1, 2, 3, 4, 2])
    assert kept == [0, 1]
    assert [item.row for item in made] == [0, -1, 1, -1, -1, 1]
    assert [item.tokens for item in made] == [3, 0, 4, 5, 6, 4]
    assert [item.deduplicated for item in made] == [False] * 5 + [True]
    assert (made[2].truncated, made[2].tokens_dropped) == (True, 2)
    assert [(item.error.code, item.error.message) for item in made if item.HasField("error")] == [
        (3, "the text is empty"),
        (13, "it broke"),
        (13, "the model gave no usable vector"),
    ]


def test_a_refused_long_text_tells_its_length_and_the_limit() -> None:
    failure = too_long(text(16, dropped=4))
    assert (failure.code, failure.message) == (11, "the text has 20 tokens; the model takes 16")
