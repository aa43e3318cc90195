import json

import pytest
from typer.testing import CliRunner

from sidecar.cli.template import app
from sidecar.errors import InvalidInput, ModelNotFound

OPTIONS = ["papers", "--model", "all-minilm-l6-v2@1", "--index-pattern", "papers*", "--source", "title,abstract"]


def run(*arguments):
    return CliRunner().invoke(app, arguments)


def test_render_prints_the_documents_by_path():
    result = run("render", *OPTIONS, "--field", "vector", "--space-type", "l2")

    documents = json.loads(result.stdout)
    assert result.exit_code == 0
    assert "/_index_template/sidecar-papers" in documents
    (component,) = (body for body in documents.values() if "vector" in str(body.get("template")))
    assert component["template"]["mappings"]["properties"]["vector"]["method"]["space_type"] == "l2"


def test_render_takes_a_base_from_a_file(tmp_path):
    base = tmp_path / "base.json"
    base.write_text('{"properties": {"title": {"type": "keyword"}, "abstract": {"type": "text"}}}')

    result = run("render", *OPTIONS, "--mapping", str(base))

    assert '"type": "keyword"' in result.stdout


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(None, "No such file", id="missing"),
        pytest.param("{", "cannot be read as JSON", id="no JSON"),
        pytest.param('{"a": 1, "a": 2}', "duplicate key", id="duplicate key"),
    ],
)
def test_an_unreadable_base_is_named(tmp_path, text, problem):
    base = tmp_path / "base.json"
    if text is not None:
        base.write_text(text)

    result = run("render", *OPTIONS, "--mapping", str(base))

    assert isinstance(result.exception, InvalidInput)
    assert str(base) in str(result.exception)
    assert problem in str(result.exception)


def test_an_unknown_model_is_said_with_the_known_ones():
    result = run("render", "papers", "--model", "none@1", "--index-pattern", "papers*", "--source", "title")

    assert isinstance(result.exception, ModelNotFound)
    assert "all-minilm-l6-v2@1" in str(result.exception)


@pytest.mark.parametrize("command", ["render", "diff", "apply", "list", "delete"])
def test_every_command_explains_itself(command):
    result = run(command, "--help")

    assert result.exit_code == 0
    assert "--config" in result.stdout


@pytest.mark.parametrize("command", ["render", "diff", "apply"])
def test_model_pattern_and_source_are_required(command):
    assert run(command, "papers").exit_code == 2
