import json

import pytest

from sidecar.contract import embedding_pb2 as pb
from sidecar.embedding.front.openai import NoVector, TimedOut, error_answer, full_id, parse, timeout_s
from sidecar.embedding.statuses import InvalidRequest, NotServing
from sidecar.errors import BodyTooLarge, EmbedderOverloaded, InvalidInput, ModelNotFound, SidecarError


def body(**fields: object) -> bytes:
    return json.dumps({"model": "m@1", "input": "a"} | fields).encode()


@pytest.mark.parametrize(
    ("given", "texts", "ids"),
    [
        pytest.param("a", ("a",), (), id="a string"),
        pytest.param(["a", "b"], ("a", "b"), (), id="strings"),
        pytest.param([1, 2], (), ((1, 2),), id="token ids"),
        pytest.param([[1], [2, 3]], (), ((1,), (2, 3)), id="lists of token ids"),
        pytest.param([""], ("",), (), id="an empty text is the service's to refuse"),
    ],
)
def test_the_four_shapes_of_input(given: object, texts: tuple[str, ...], ids: tuple[tuple[int, ...], ...]) -> None:
    asked = parse(body(input=given), None)
    assert (asked.texts, asked.token_ids) == (texts, ids)


@pytest.mark.parametrize(
    ("data", "field"),
    [
        pytest.param(b"[]", "body", id="not an object"),
        pytest.param(b"{", "body", id="not JSON"),
        pytest.param(b'{"input": Infinity}', "body", id="a number that JSON does not have"),
        pytest.param(b'{"input": "a"}', "model", id="no model"),
        pytest.param(body(model=3), "model", id="model of another type"),
        pytest.param(b'{"model": "m@1"}', "input", id="no input"),
        pytest.param(body(input=[]), "input", id="empty input"),
        pytest.param(body(input={}), "input", id="input of another type"),
        pytest.param(body(input=["a", 1]), "input[1]", id="mixed strings"),
        pytest.param(body(input=[[1], "a"]), "input[1]", id="mixed lists"),
        pytest.param(body(input=[1, True]), "input", id="a boolean is no token id"),
        pytest.param(body(input=[-1]), "input", id="a negative id"),
        pytest.param(body(input=[[1], [2**32]]), "input[1]", id="an id beyond 32 bits"),
        pytest.param(body(input=[[1], [1] * 65_537]), "input[1]", id="more ids than any model takes"),
        pytest.param(body(dimensions=0), "dimensions", id="no dimensions"),
        pytest.param(body(dimensions=True), "dimensions", id="a boolean is no number"),
        pytest.param(body(dimensions=1.5), "dimensions", id="half a dimension"),
        pytest.param(body(encoding_format="int8"), "encoding_format", id="unknown encoding"),
        pytest.param(body(encoding_format=[]), "encoding_format", id="encoding of another type"),
        pytest.param(body(input_type="search"), "input_type", id="unknown role"),
        pytest.param(body(input_type=[]), "input_type", id="role of another type"),
        pytest.param(body(truncate="END"), "truncate", id="truncate of another type"),
        pytest.param(body(inputs="a"), "inputs", id="unknown field"),
    ],
)
def test_what_is_refused_names_its_field(data: bytes, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse(data, None)
    assert refused.value.field == field


def test_the_lane_header_has_two_values() -> None:
    with pytest.raises(InvalidInput, match="X-Sidecar-Lane: must be interactive or bulk"):
        parse(body(), "fast")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        pytest.param(None, None, id="not given"),
        pytest.param("1", 0.001, id="shortest"),
        pytest.param("999999999", 999_999.999, id="longest"),
    ],
)
def test_how_long_the_caller_waits(header: str | None, seconds: float | None) -> None:
    assert timeout_s(header) == seconds


@pytest.mark.parametrize("header", ["", "0", "-1", "1.5", "1e3", " 1", "\u0661", "1000000000", "9" * 5_000])
def test_a_timeout_is_a_whole_number_of_milliseconds(header: str) -> None:
    with pytest.raises(InvalidInput, match="X-Sidecar-Timeout-Ms: must be a whole number of milliseconds"):
        timeout_s(header)


@pytest.mark.parametrize(
    ("name", "loaded", "found"),
    [
        pytest.param("a@1", ["a@1", "a@2"], "a@1", id="the full id"),
        pytest.param("a", ["a@1", "b@1"], "a@1", id="the bare name of one version"),
        pytest.param("a", ["a@1", "a@2"], None, id="the bare name of two versions"),
        pytest.param("c", ["a@1"], None, id="unknown"),
        pytest.param("", ["a@1"], None, id="empty"),
    ],
)
def test_which_version_a_name_means(name: str, loaded: list[str], found: str | None) -> None:
    if found is not None:
        assert full_id(name, loaded) == found
        return
    with pytest.raises(ModelNotFound):
        full_id(name, loaded)


@pytest.mark.parametrize(
    ("error", "status", "param", "headers"),
    [
        pytest.param(InvalidInput("model", "bad"), 400, "model", {}, id="a field"),
        pytest.param(InvalidRequest((InvalidInput("texts", "bad"),)), 400, "input", {}, id="a field of the contract"),
        pytest.param(NoVector(2, pb.ItemError(code=11)), 400, "input[2]", {}, id="a text that cannot be embedded"),
        pytest.param(NoVector(2, pb.ItemError(code=13)), 500, "input[2]", {}, id="a text that we failed on"),
        pytest.param(ModelNotFound("m"), 404, "model", {}, id="unknown model"),
        pytest.param(BodyTooLarge(10, "s"), 413, None, {}, id="a large body"),
        pytest.param(EmbedderOverloaded(1.2), 429, None, {"Retry-After": "2"}, id="busy: whole seconds, rounded up"),
        pytest.param(EmbedderOverloaded(0.1), 429, None, {"Retry-After": "1"}, id="busy: a second at least"),
        pytest.param(NotServing("loading"), 503, None, {"Retry-After": "1"}, id="not yet"),
        pytest.param(TimedOut(0.5), 504, None, {}, id="too late"),
        pytest.param(SidecarError(), 500, None, {}, id="anything else"),
    ],
)
def test_errors_in_the_shape_of_openai(
    error: SidecarError, status: int, param: str | None, headers: dict[str, str]
) -> None:
    answer = error_answer(error)
    document = json.loads(answer.body)["error"]
    assert (answer.status, answer.headers, document["param"]) == (status, headers, param)
    assert sorted(document) == ["code", "message", "param", "type"]


def test_a_refusal_of_the_service_is_told_in_the_words_of_this_api() -> None:
    refusal = InvalidRequest((InvalidInput("dimension", "bad"), InvalidInput("texts[3]", "bad")))
    assert json.loads(error_answer(refusal).body)["error"]["message"] == "dimensions: bad; input[3]: bad"
    misspelt = InvalidInput("texts", "is not a field of this request")
    assert json.loads(error_answer(misspelt).body)["error"]["param"] == "texts"
