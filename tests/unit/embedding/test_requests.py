import pytest

from sidecar.contract import embedding_pb2 as pb
from sidecar.embedding.requests import check_embed, check_tokenize, prompt_of, reply_limit
from sidecar.embedding.statuses import InvalidRequest
from sidecar.errors import SpaceMismatch
from sidecar.model import ModelVersion, Prompts
from sidecar.ports import Lane

VERSION = ModelVersion(
    id="tiny@1",
    weights={"model.safetensors": "0" * 64},
    tokenizer="1" * 64,
    pooling="mean",
    max_tokens=16,
    normalized=True,
    dimension=8,
)
ASYMMETRIC = VERSION.model_copy(update={"prompts": Prompts(passage="passage: ", query="query: ")})


def request(**fields: object) -> pb.EmbedRequest:
    return pb.EmbedRequest(**{"model": "tiny@1", "texts": ["a"], **fields})


def test_defaults_are_the_model_versions() -> None:
    wanted = check_embed(request(), VERSION, VERSION.space, 4)
    assert (wanted.space, wanted.normalize, wanted.dimension) == (VERSION.space, True, 8)
    assert (wanted.encoding, wanted.lane, wanted.refuse_long) == (pb.ENCODING_FLOAT32, Lane.BULK, False)


@pytest.mark.parametrize(
    ("fields", "bad"),
    [
        pytest.param({"texts": []}, ["texts"], id="no texts"),
        pytest.param({"texts": ["a"] * 5}, ["texts"], id="too many texts"),
        pytest.param({"dimension": 9}, ["dimension"], id="more components than the model has"),
        pytest.param({"encoding": 9}, ["encoding"], id="unknown encoding"),
        pytest.param({"on_too_long": 9}, ["on_too_long"], id="unknown on_too_long"),
        pytest.param({"role": 9}, ["role"], id="unknown role"),
        pytest.param({"lane": 9}, ["lane"], id="unknown lane"),
        pytest.param({"cache": 9}, ["cache"], id="unknown cache policy"),
        pytest.param({"texts": [], "dimension": 9}, ["texts", "dimension"], id="all that is wrong is told"),
    ],
)
def test_bad_fields_are_named(fields: dict[str, object], bad: list[str]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_embed(request(**fields), VERSION, VERSION.space, 4)
    assert [violation.field for violation in refused.value.violations] == bad


def test_a_role_is_needed_only_where_the_prompts_differ() -> None:
    assert prompt_of(pb.ROLE_UNSPECIFIED, VERSION) == ""
    check_tokenize(pb.TokenizeRequest(texts=["a"]), VERSION, 4)
    for check in (
        lambda: check_embed(request(), ASYMMETRIC, ASYMMETRIC.space, 4),
        lambda: check_tokenize(pb.TokenizeRequest(texts=["a"]), ASYMMETRIC, 4),
    ):
        with pytest.raises(InvalidRequest, match="role: must be given"):
            check()
    assert check_embed(request(role=pb.ROLE_QUERY), ASYMMETRIC, ASYMMETRIC.space, 4).prompt == "query: "


def test_a_text_that_is_counted_whole_may_not_be_huge() -> None:
    check_tokenize(pb.TokenizeRequest(texts=["a" * 65_536]), VERSION, 4)
    with pytest.raises(InvalidRequest) as refused:
        check_tokenize(pb.TokenizeRequest(texts=["a", "b" * 65_537, "c" * 99_999]), VERSION, 4)
    assert str(refused.value) == "texts[1]: must have at most 65536 characters, not 65537"


@pytest.mark.parametrize(
    ("on_too_long", "refuse_long", "chunk"),
    [
        pytest.param(pb.ON_TOO_LONG_UNSPECIFIED, False, False, id="not said"),
        pytest.param(pb.ON_TOO_LONG_TRUNCATE_END, False, False, id="cut off"),
        pytest.param(pb.ON_TOO_LONG_ERROR, True, False, id="refused"),
        pytest.param(pb.ON_TOO_LONG_CHUNK, False, True, id="in parts"),
    ],
)
def test_what_becomes_of_a_long_text(on_too_long: int, *, refuse_long: bool, chunk: bool) -> None:
    wanted = check_embed(request(on_too_long=on_too_long), VERSION, VERSION.space, 4)
    assert (wanted.refuse_long, wanted.chunk) == (refuse_long, chunk)


@pytest.mark.parametrize(
    ("fields", "rows"),
    [
        pytest.param({}, (10_000 - 1_024 - 256) // (8 * 4 + 24), id="one text"),
        pytest.param({"texts": ["a"] * 3}, (10_000 - 1_024 - 768) // (8 * 4 + 24), id="three texts"),
        pytest.param(
            {"dimension": 4, "encoding": pb.ENCODING_FLOAT16}, (10_000 - 1_024 - 256) // (4 * 2 + 24), id="short rows"
        ),
        pytest.param({"request_id": "r" * 9_000}, 0, id="nothing but the request_id"),
    ],
)
def test_how_many_vectors_a_reply_has_room_for(fields: dict[str, object], rows: int) -> None:
    asked = request(**fields)
    limit = reply_limit(asked, check_embed(asked, VERSION, VERSION.space, 4), 10_000)
    assert limit.rows == rows
    limit.check(rows)
    with pytest.raises(
        InvalidRequest, match=r"texts: give more than .* at most 10000 bytes \(embedder\.max_message_bytes"
    ):
        limit.check(rows + 1)


def test_another_space_is_refused_and_the_actual_one_is_told() -> None:
    with pytest.raises(SpaceMismatch) as refused:
        check_embed(request(expect_space="sha256:" + "0" * 64), VERSION, VERSION.space, 4)
    assert refused.value.actual == VERSION.space


@pytest.mark.parametrize(
    "fields",
    [pytest.param({"dimension": 4}, id="fewer components"), pytest.param({"normalize": False}, id="not scaled")],
)
def test_what_changes_the_numbers_changes_the_space(fields: dict[str, object]) -> None:
    wanted = check_embed(request(**fields), VERSION, VERSION.space, 4)
    assert wanted.space != VERSION.space
    with pytest.raises(SpaceMismatch):
        check_embed(request(expect_space=VERSION.space, **fields), VERSION, VERSION.space, 4)
    assert check_embed(request(expect_space=wanted.space, **fields), VERSION, VERSION.space, 4) == wanted


def test_the_whole_dimension_named_is_the_same_space() -> None:
    assert (
        check_embed(
            request(dimension=8, normalize=True, expect_space=VERSION.space), VERSION, VERSION.space, 4
        ).dimension
        == 8
    )
