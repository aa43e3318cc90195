"""Our fields stay out of `_source`, and no client gets a `_source` that it did not ask for."""

import pytest

from sidecar.bridge.hidden_fields import Hidden
from sidecar.bridge.hidden_source import excludes_beside, excludes_of, loads_source, source_of, source_without
from sidecar.jsontext import Json, Object

OURS = ("e", "e_meta")
HIDDEN = Hidden(OURS)


@pytest.mark.parametrize(
    ("url", "by_default", "excludes"),
    [
        pytest.param({}, True, OURS, id="shown unasked"),
        pytest.param({}, False, (), id="not shown unasked"),
        pytest.param({"_source": "false"}, True, (), id="no source"),
        pytest.param({"_source": "true"}, False, OURS, id="asked for"),
        pytest.param({"_source": ""}, False, OURS, id="asked for without a value"),
        pytest.param({"_source": "title,e"}, True, ("e_meta",), id="named"),
        pytest.param({"_source": "e", "_source_includes": "a"}, True, OURS, id="the includes replace the names"),
        pytest.param({"_source_excludes": "a"}, False, OURS, id="excluding is asking for the rest"),
        pytest.param({"stored_fields": "year"}, True, (), id="stored fields alone"),
        pytest.param({"stored_fields": "year,_source"}, False, OURS, id="the source as a stored field"),
        pytest.param({"stored_fields": "year", "_source": "true"}, True, OURS, id="both"),
    ],
)
def test_excludes_of(url: dict[str, str], by_default: bool, excludes: tuple[str, ...]) -> None:
    assert excludes_of(url, HIDDEN, by_default=by_default) == excludes


@pytest.mark.parametrize(
    ("text", "url", "excludes"),
    [
        pytest.param(b"size: 1", {}, OURS, id="says nothing"),
        pytest.param(b"_source: false", {}, (), id="has a source filter"),
        pytest.param(b"stored_fields: year", {}, (), id="has stored fields"),
        pytest.param(b'"\\x5fsource": false', {}, (), id="has an escape"),
        pytest.param(b"_source: false", {"_source": "title"}, OURS, id="the URL wins over it"),
    ],
)
def test_beside_a_body_that_we_cannot_read(text: bytes, url: dict[str, str], excludes: tuple[str, ...]) -> None:
    assert excludes_beside(text, url, HIDDEN) == excludes


@pytest.mark.parametrize(
    ("options", "does"),
    [
        pytest.param({}, True, id="nothing said"),
        pytest.param({"stored_fields": "_none_"}, False, id="no stored fields"),
        pytest.param({"stored_fields": ["year"]}, False, id="stored fields"),
        pytest.param(
            {"stored_fields": ["_source"], "script_fields": {"a": {}}}, True, id="the source as a stored field"
        ),
        pytest.param({"script_fields": {"a": {}}}, False, id="script fields"),
        pytest.param({"fields": ["*"], "docvalue_fields": ["a"]}, True, id="other fields"),
    ],
)
def test_loads_source(options: Object, does: bool) -> None:
    assert loads_source(options) == does


@pytest.mark.parametrize(
    ("source", "sent"),
    [
        pytest.param(["title"], {"includes": ["title"], "excludes": [*OURS]}, id="a list"),
        pytest.param("*", {"includes": ["*"], "excludes": [*OURS]}, id="a pattern is not a wish"),
        pytest.param(["e"], {"includes": ["e"], "excludes": ["e_meta"]}, id="a name is one"),
        pytest.param(["e", "e_meta"], ["e", "e_meta"], id="all of them"),
        pytest.param({"excludes": "a"}, {"excludes": ["a", *OURS]}, id="excludes"),
        pytest.param({"exclude": ["a"]}, {"exclude": ["a", *OURS]}, id="the old spelling"),
        pytest.param({"excludes": ["a"], "exclude": ["b"]}, {"excludes": ["a"], "exclude": ["b", *OURS]}, id="the later counts"),
        pytest.param({"includes": ["a"], "include": ["e"]}, {"includes": ["a"], "include": ["e"], "excludes": ["e_meta"]},
                     id="the later of the includes counts, too"),
    ],
)  # fmt: skip
def test_source_without(source: Json, sent: Json) -> None:
    assert source_without(source, HIDDEN) == sent


@pytest.mark.parametrize(
    ("url", "source"),
    [
        pytest.param({}, None, id="nothing said"),
        pytest.param({"_source": "false", "_source_excludes": "a"}, False, id="none"),
        pytest.param({"_source": "a,b"}, {"includes": ["a", "b"], "excludes": []}, id="names"),
        pytest.param({"_source": "a", "_source_includes": "b"}, {"includes": ["b"], "excludes": []}, id="includes win"),
        pytest.param({"_source_excludes": "a"}, {"includes": [], "excludes": ["a"]}, id="excludes"),
    ],
)
def test_source_of(url: dict[str, str], source: Json) -> None:
    assert source_of(url) == source
