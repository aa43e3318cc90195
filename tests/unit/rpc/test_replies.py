import numpy as np
import pytest

from sidecar.contract import embedding_pb2 as pb
from sidecar.errors import EmbedderMisbehaved, SpaceMismatch
from sidecar.ports import Embeddings
from sidecar.rpc.replies import Limits, Part, join, split, within

LIMITS = Limits(max_texts=3, max_part_bytes=10, max_text_bytes=20)


@pytest.mark.parametrize(
    ("texts", "parts"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param(["a", "b"], [["a", "b"]], id="one message"),
        pytest.param(["a"] * 4, [["a"] * 3, ["a"]], id="too many texts"),
        pytest.param(["12345", "12345", "1"], [["12345", "12345"], ["1"]], id="too many bytes"),
        pytest.param(["1", "123456789012", "2"], [["1"], ["123456789012"], ["2"]], id="a long text goes alone"),
        pytest.param(["ééééé", "é"], [["ééééé"], ["é"]], id="bytes are counted in UTF-8"),
        pytest.param(["1", "x" * 21, "2"], [["1", "2"]], id="what fits into no message is left out"),
    ],
)
def test_split(texts: list[str], parts: list[list[str]]) -> None:
    found = list(split(texts, LIMITS))
    assert [list(part.texts) for part in found] == parts
    assert all(
        texts[position] == text for part in found for position, text in zip(part.positions, part.texts, strict=True)
    )


@pytest.mark.parametrize(
    ("server", "ours", "expected"),
    [
        pytest.param({}, 10**6, Limits(100, 50_000, 900_000), id="the server takes more"),
        pytest.param({"max_texts": 7}, 10**6, Limits(7, 50_000, 900_000), id="fewer texts"),
        pytest.param({"max_message_bytes": 20_000}, 10**6, Limits(9, 17_880, 17_880), id="shorter messages"),
        pytest.param({}, 20_000, Limits(9, 50_000, 900_000), id="shorter messages to us"),
        pytest.param({"max_message_bytes": 100}, 10**6, Limits(1, 0, 0), id="no message at all"),
    ],
)
def test_limits_that_hold_for_the_server_too(server: dict[str, int], ours: int, expected: Limits) -> None:
    info = pb.ModelInfo(**{"dimension": 384, "max_texts": 1_024, "max_message_bytes": 10**6, **server})
    assert within(Limits(100, 50_000, 900_000), info, ours) == expected


def reply(rows: list[list[float]], items: list[pb.Item], **fields: object) -> pb.EmbedReply:
    standard = {"model": "m@1", "space": "s", "backend": "torch", "dimension": 2, "encoding": pb.ENCODING_FLOAT32}
    matrix = np.array(rows, dtype="<f4").tobytes()
    return pb.EmbedReply(**{"matrix": matrix, "items": items, **standard, **fields})


GOOD = reply([[1, 2]], [pb.Item(row=0, tokens=3)])


def join_one(answer: pb.EmbedReply, texts: int = 1, expect_space: str = "") -> Embeddings:
    part = Part(tuple(range(texts)), ("t",) * texts)
    return join(part.texts, [(part, answer)], model="m@1", expect_space=expect_space, max_text_bytes=20)


def test_parts_come_together_in_the_order_of_the_texts() -> None:
    second = reply([[5, 6]], [pb.Item(row=-1, error=pb.ItemError(code=3, message="empty")), pb.Item(row=0, tokens=9)])
    answered = [(Part((0,), ("a",)), GOOD), (Part((2, 3), ("", "d")), second)]
    found = join(["a", "x" * 21, "", "d"], answered, model="m@1", expect_space="s", max_text_bytes=20)
    assert [item.row for item in found.items] == [0, -1, -1, 1]
    assert [item.error for item in found.items] == [
        None,
        "the text has 21 bytes; a message takes at most 20",
        "empty",
        None,
    ]
    assert (found.vector(3) == [5, 6]).all()
    assert found.vector(1) is None


def test_one_reply_is_not_copied() -> None:
    assert not join_one(GOOD).matrix.flags.owndata


def test_no_texts_give_no_vectors() -> None:
    found = join([], [], model="m@1", expect_space="", max_text_bytes=20)
    assert (found.model, len(found.matrix), found.items) == ("m@1", 0, ())


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        pytest.param(reply([[1, 2]], []), "1 texts were sent, 0 items came back", id="an item is missing"),
        pytest.param(reply([[1, 2]], [pb.Item(row=1)]), r"items\[0\] points at row 1 of 1", id="row out of range"),
        pytest.param(reply([], [pb.Item(row=-1)]), "either a row or an error", id="neither vector nor error"),
        pytest.param(reply([[np.nan, 1]], [pb.Item()]), "NaN or infinity", id="NaN"),
        pytest.param(reply([[0, 0]], [pb.Item()]), "all zeros", id="zero vector"),
        pytest.param(reply([[1, 2]], [pb.Item()], dimension=3), "8 bytes are not rows of 3", id="wrong dimension"),
        pytest.param(reply([[1, 2]], [pb.Item()], dimension=0), "not rows of 0", id="no dimension"),
        pytest.param(reply([[1, 2]], [pb.Item()], encoding=2), "encoding", id="wrong encoding"),
        pytest.param(reply([[1, 2]], [pb.Item()], model="n@1"), r"answers with \[n@1\]", id="another model"),
    ],
)
def test_a_broken_contract_is_told(answer: pb.EmbedReply, problem: str) -> None:
    with pytest.raises(EmbedderMisbehaved, match=problem):
        join_one(answer)


def test_another_space_than_expected_is_refused() -> None:
    with pytest.raises(SpaceMismatch):
        join_one(GOOD, expect_space="t")


def test_parts_of_two_spaces_are_refused() -> None:
    other = reply([[1, 2]], [pb.Item()], space="t")
    with pytest.raises(EmbedderMisbehaved, match="two spaces"):
        join(
            ["a", "b"],
            [(Part((0,), ("a",)), GOOD), (Part((1,), ("b",)), other)],
            model="m@1",
            expect_space="",
            max_text_bytes=20,
        )
