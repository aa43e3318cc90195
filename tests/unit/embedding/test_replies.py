import numpy as np
import pytest

from sidecar.contract import embedding_pb2 as pb
from sidecar.embedding.replies import EMPTY, Answer, broken, distinct, finish, items, items_of_parts, matrix, too_long
from sidecar.embedding.text.chunking import TextPart

POOLED = np.array([[3.0, 4.0, 12.0], [0.0, 0.0, 0.0], [np.nan, 1.0, 1.0], [1e6, 1.0, 1.0]], dtype=np.float32)


def vector(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def test_distinct_keeps_the_order_of_first_appearance() -> None:
    found = distinct(["b", "a", "b", "c", "a"])
    assert found.texts == ("b", "a", "c")
    assert found.index == (0, 1, 0, 2, 1)


def test_every_kind_of_answer_in_one_reply() -> None:
    answers = [
        Answer(vector(1, 2), tokens=3),
        Answer(failure=EMPTY),
        Answer(vector(0, 0), tokens=6),
        Answer(failure=broken("it broke"), tokens=4, dropped=2),
        Answer(vector(3, 4), tokens=5, dropped=1, cached=True),
        Answer(vector(5, 6), tokens=5, shared=True),
    ]
    assert matrix(answers, 2).tolist() == [[1, 2], [0, 0], [3, 4], [5, 6]]
    made = items(answers, np.array([True, False, True, True]), [0, 1, 2, 3, 4, 5, 4, 0])
    assert [item.row for item in made] == [0, -1, -1, -1, 1, 2, 1, 0]
    assert [item.tokens for item in made] == [3, 0, 6, 4, 5, 5, 5, 3]
    assert [item.deduplicated for item in made] == [False] * 5 + [True] * 3
    assert [item.cached for item in made] == [False] * 4 + [True, False, True, False]
    assert (made[4].truncated, made[4].tokens_dropped) == (True, 1)
    assert [(item.error.code, item.error.message) for item in made if item.HasField("error")] == [
        (3, "the text is empty"),
        (13, "the model gave no usable vector"),
        (13, "it broke"),
    ]


def test_a_reply_without_any_vector() -> None:
    answers = [Answer(failure=EMPTY)]
    pooled = matrix(answers, 4)
    made = items(answers, np.zeros(0, dtype=np.bool_), [0])
    assert (pooled.shape, [item.row for item in made]) == ((0, 4), [-1])


def test_a_refused_long_text_tells_its_length_and_the_limit() -> None:
    failure = too_long(16, dropped=4)
    assert (failure.code, failure.message) == (11, "the text has at least 20 tokens; the model takes 16")


def test_the_parts_of_a_text_have_rows_of_their_own() -> None:
    answers = [
        Answer(vector(1, 2), tokens=16, cached=True),
        Answer(vector(3, 4), tokens=16),
        Answer(vector(np.nan, 4), tokens=9),
        Answer(vector(5, 6), tokens=5),
    ]
    of = [
        (TextPart(1, 0, 40), TextPart(0, 40, 70), TextPart(1, 70, 110)),
        (TextPart(0, 0, 30), TextPart(2, 30, 50), TextPart(3, 50, 60)),
        (TextPart(0, 0, 30),),
    ]
    made, kept = items_of_parts(answers, np.array([True, True, False, True]), of, [0, 1, 2, 0])
    assert kept.tolist() == [True, True, False, False]  # nobody gets the last part of the text that has failed
    assert [item.row for item in made] == [1, -1, 0, 1]
    assert [[(c.row, c.char_start, c.char_end) for c in item.chunks] for item in made] == [
        [(1, 0, 40), (0, 40, 70), (1, 70, 110)],
        [],
        [(0, 0, 30)],
        [(1, 0, 40), (0, 40, 70), (1, 70, 110)],
    ]
    assert [(item.tokens, item.cached, item.deduplicated) for item in made] == [
        (48, False, False),
        (30, False, False),
        (16, True, False),
        (48, False, True),
    ]
    assert made[1].error.message == "the model gave no usable vector"


def test_without_chunks_none_are_told() -> None:
    (made,) = items([Answer(vector(1, 2))], np.array([True]), [0])
    assert not made.chunks


@pytest.mark.parametrize(
    ("dimension", "normalize", "encoding", "first", "usable"),
    [
        pytest.param(3, False, pb.ENCODING_FLOAT32, [3, 4, 12], [True, False, False, True], id="as pooled"),
        pytest.param(2, True, pb.ENCODING_FLOAT32, [0.6, 0.8], [True, False, False, True], id="cut first, then scaled"),
        pytest.param(
            3, False, pb.ENCODING_FLOAT16, [3, 4, 12], [True, False, False, False], id="too large for float16"
        ),
    ],
)
def test_finish(dimension: int, normalize: bool, encoding: pb.Encoding, first: list[float], usable: list[bool]) -> None:
    encoded, ok = finish(POOLED, dimension=dimension, normalize=normalize, encoding=encoding)
    assert encoded[0].tolist() == pytest.approx(first)
    assert ok.tolist() == usable
    assert encoded.dtype == np.dtype("<f4" if encoding == pb.ENCODING_FLOAT32 else "<f2")
