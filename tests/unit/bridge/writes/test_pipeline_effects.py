"""What an ingest pipeline may do with a document after the bridge: one row per form. The node moves and changes so."""

import pytest

from sidecar.bridge.writes.pipeline_effects import (
    Effect,
    called_pipelines,
    called_scripts,
    effect_of_pipeline,
    effect_of_script,
)
from tests.support.bindings import a_binding, bound

BOUND = bound(a_binding(source=("title", "body.text")))


@pytest.mark.parametrize(
    ("processor", "effect"),
    [
        pytest.param({"set": {"field": "year", "value": 1}}, Effect.NONE, id="another field"),
        pytest.param({"set": {"field": "page_index", "value": 1}}, Effect.NONE, id="another field with that ending"),
        pytest.param({"set": {"field": "from", "value": "{{_index}}"}}, Effect.NONE, id="the index as a value"),
        pytest.param({"set": {"field": "from", "copy_from": "_index"}}, Effect.NONE, id="a copy of the index"),
        pytest.param({"set": {"field": "n", "value": 1, "if": "ctx._index == 'a'"}}, Effect.NONE, id="a condition"),
        pytest.param({"date": {"field": "at", "formats": ["ISO8601"]}}, Effect.NONE, id="a date"),
        pytest.param({"lowercase": {"field": "title"}}, Effect.CHANGES, id="a source"),
        pytest.param({"set": {"field": "body", "value": {}}}, Effect.CHANGES, id="an object around a source"),
        pytest.param({"rename": {"field": "old", "target_field": "title"}}, Effect.CHANGES, id="a source is made"),
        pytest.param({"set": {"field": "embedding_meta.pending", "value": 1}}, Effect.CHANGES, id="the provenance"),
        pytest.param({"script": {"source": "ctx.n = 1"}}, Effect.CHANGES, id="a script"),
        pytest.param({"remove": {"exclude_field": ["n"]}}, Effect.CHANGES, id="all but one"),
        pytest.param({"drop": {}}, Effect.CHANGES, id="the document is dropped"),
        pytest.param({"json": {"field": "j", "add_to_root": True}}, Effect.CHANGES, id="fields of the data"),
        pytest.param({"of_tomorrow": {}}, Effect.CHANGES, id="a processor that we do not know"),
        pytest.param({"set": {"field": "_index", "value": "x"}}, Effect.MOVES, id="the index"),
        pytest.param({"append": {"field": "_index", "value": "x"}}, Effect.MOVES, id="the index is appended to"),
        pytest.param({"set": {"field": "{{f}}", "value": "x"}}, Effect.MOVES, id="a field that the data name"),
        pytest.param({"script": {"source": "ctx['_index'] = 'x'"}}, Effect.MOVES, id="a script moves"),
        pytest.param({"script": {"source": "ctx._index='x'"}}, Effect.MOVES, id="a script moves, dotted"),
        pytest.param({"script": {"params": {"to": "_index"}, "source": "ctx[params.to]='x'"}}, Effect.MOVES, id="params"),
        pytest.param({"date_index_name": {"field": "at", "date_rounding": "y"}}, Effect.MOVES, id="by date"),
        pytest.param({"grok": {"field": "g", "patterns": ["%{WORD:_index}"]}}, Effect.MOVES, id="grok"),
        pytest.param({"dissect": {"field": "g", "pattern": "%{_index}"}}, Effect.MOVES, id="dissect"),
        pytest.param({"csv": {"field": "g", "target_fields": ["_index"]}}, Effect.MOVES, id="csv"),
        pytest.param({"foreach": {"field": "a", "processor": {"set": {"field": "_index", "value": "x"}}}}, Effect.MOVES,
                     id="in a loop"),
        pytest.param({"set": {"field": "n", "value": 1, "on_failure": [{"set": {"field": "_index", "value": "x"}}]}},
                     Effect.MOVES, id="after a failure"),
        pytest.param({"pipeline": {"name": "{{p}}"}}, Effect.MOVES, id="a pipeline that the data name"),
        pytest.param({"pipeline": {"name": "p"}}, Effect.NONE, id="a pipeline, which is read on its own"),
        pytest.param("odd", Effect.NONE, id="not a processor"),
    ],
)  # fmt: skip
def test_the_effect_of_a_processor(processor: object, effect: Effect) -> None:
    assert effect_of_pipeline({"processors": [processor]}, BOUND) is effect
    assert effect_of_pipeline({"processors": [], "on_failure": [processor]}, BOUND) is effect
    beside = {"processors": [{"set": {"field": "year", "value": 1}}, processor]}
    assert effect_of_pipeline(beside, BOUND) is effect


def test_a_pipeline_that_cannot_be_read_may_change_texts() -> None:
    assert effect_of_pipeline(None, BOUND) is Effect.CHANGES
    assert [effect_of_script(source) for source in (None, "ctx.n = 1", "ctx._index = 'x'")] == [
        Effect.CHANGES, Effect.CHANGES, Effect.MOVES,
    ]  # fmt: skip


def test_the_pipelines_and_scripts_that_are_called() -> None:
    inner = {"foreach": {"field": "a", "processor": {"script": {"id": "s"}}}}
    definition = {"processors": [{"pipeline": {"name": "p"}}, inner], "on_failure": [{"pipeline": {"name": "q"}}]}

    assert (called_pipelines(definition), called_scripts(definition)) == (("p", "q"), ("s",))
    assert (called_pipelines(None), called_scripts({"processors": 5})) == ((), ())
