"""What is said of the parts of the system, and how an examination is reported."""

from dataclasses import replace

import pytest

from sidecar.doctor.findings import Subject, count
from sidecar.doctor.parts import (
    TemplateFacts,
    examine_bridge,
    examine_cluster,
    examine_embedder,
    examine_template,
)
from sidecar.jsontext import Json
from sidecar.model import ModelVersion
from sidecar.ports import ServedModel
from tests.support.bindings import a_binding

MINILM = ModelVersion(
    id="all-minilm-l6-v2@1", weights={"model.safetensors": "1" * 64}, tokenizer="2" * 64, pooling="mean",
    max_tokens=256, normalized=True, dimension=384,
)  # fmt: skip


def nodes(*plugins: tuple[str, ...]) -> Json:
    return {"nodes": {str(n): {"plugins": [{"name": name} for name in names]} for n, names in enumerate(plugins)}}


def info(number: str = "2.19.1", distribution: str = "opensearch") -> Json:
    return {"version": {"number": number, "distribution": distribution}}


def checks(subject: Subject) -> list[tuple[str, str]]:
    return [(finding.level, finding.check) for finding in subject.findings]


BOTH = ("opensearch-knn", "opensearch-neural-search")


@pytest.mark.parametrize(
    ("described", "plugins", "expected"),
    [
        pytest.param(info(), nodes(BOTH, BOTH), [], id="well"),
        pytest.param(info("3.1.0"), nodes(BOTH), [], id="newer"),
        pytest.param(info("2.9.0"), nodes(BOTH), [("warning", "version")], id="older"),
        pytest.param(info("8.1.0", "elastic"), nodes(BOTH), [("error", "distribution")], id="something else"),
        pytest.param(info(), nodes(BOTH, BOTH[1:]), [("error", "knn_plugin")], id="a node without k-NN"),
        pytest.param(info(), nodes(BOTH[:1]), [("warning", "neural_search_plugin")], id="without neural-search"),
    ],
)
def test_the_cluster(described: Json, plugins: Json, expected: list[tuple[str, str]]) -> None:
    assert checks(examine_cluster("http://c:9200", described, plugins)) == expected


def machines(*options: tuple[str, ...]) -> Json:
    return {"nodes": {str(n): {"jvm": {"input_arguments": list(given)}} for n, given in enumerate(options)}}


LIMITED = ("-Xmx1g", "-Dopensearch.xcontent.depth.max=1000")


@pytest.mark.parametrize(
    ("number", "options", "expected"),
    [
        pytest.param("2.19.1", machines(LIMITED, ("-Xmx1g",)), [("note", "json_depth")], id="a node without a limit"),
        pytest.param("2.19.1", machines(LIMITED, LIMITED), [], id="limited"),
        pytest.param("3.1.0", machines(("-Xmx1g",)), [], id="limited by default"),
        pytest.param("2.19.1", None, [], id="not told"),
    ],
)
def test_the_depth_of_json(number: str, options: Json, expected: list[tuple[str, str]]) -> None:
    subject = examine_cluster("u", info(number), nodes(BOTH), options)

    assert checks(subject) == expected
    assert subject.level == (expected[0][0] if expected else "ok")
    assert count([subject]) == {"error": 0, "warning": 0}


def test_the_cluster_in_short() -> None:
    assert examine_cluster("u", info(), nodes(BOTH)).about == "OpenSearch 2.19.1, 1 node"


def test_the_embedding_server() -> None:
    served = [ServedModel(MINILM, "torch")]

    well, ill = (examine_embedder("h:1", served, is_healthy=is_healthy) for is_healthy in (True, False))

    assert well.about == f"all-minilm-l6-v2@1 (torch, 384 dimensions, {MINILM.space[:19]}…)"
    assert checks(well) == []
    assert checks(ill) == [("error", "health")]
    assert examine_embedder("h:1", [], is_healthy=True).about == "no model"


@pytest.mark.parametrize(
    ("state", "uuid", "expected"),
    [
        pytest.param({"embedder": {"state": "ready"}}, "u", [], id="well"),
        pytest.param({"embedder": {"state": "unavailable", "reason": "unavailable"}}, "u", [("error", "embedder")],
                     id="without vectors"),
        pytest.param({"embedder": {"state": "ready"}}, "v", [("error", "cluster")], id="of another cluster"),
    ],
)  # fmt: skip
def test_the_bridge(state: Json, uuid: str, expected: list[tuple[str, str]]) -> None:
    assert checks(examine_bridge("http://b:9201", state, uuid, "u")) == expected


WELL = TemplateFacts("papers", "about", a_binding(model=MINILM.id, space=MINILM.space))


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        pytest.param(WELL, [], id="well"),
        pytest.param(replace(WELL, drift=("/a", "/b")), [("warning", "drift")], id="drift"),
        pytest.param(replace(WELL, overruled_by="x"), [("error", "overruled")], id="overruled"),
        pytest.param(replace(WELL, problem="why", binding=None), [("error", "invalid")], id="not readable"),
        pytest.param(replace(WELL, binding=a_binding(model="n@1")), [("error", "model")], id="model not served"),
        pytest.param(replace(WELL, binding=a_binding(model=MINILM.id)), [("error", "space")], id="another space"),
    ],
)
def test_a_template(template: TemplateFacts, expected: list[tuple[str, str]]) -> None:
    assert checks(examine_template(template, {MINILM.id: MINILM})) == expected
    assert [check for check in checks(examine_template(template, None)) if check[1] in ("model", "space")] == []
