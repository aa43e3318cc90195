import pytest

from sidecar.templates.shipped import document, fill

VALUES = {"name": "papers", "count": 3, "list": ["a", "{{name}}"]}


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        pytest.param("{{count}}", 3, id="a placeholder alone becomes the value"),
        pytest.param("of {{name}}: {{count}}", "of papers: 3", id="in a text it becomes text"),
        pytest.param({"{{name}}": ["{{list}}"]}, {"papers": [["a", "{{name}}"]]}, id="values are not looked into"),
        pytest.param({"source": ["a {{b", "", "c"]}, {"source": "a {{b\n\nc"}, id="lines of a script"),
        pytest.param(
            {"source": "{{name}}", "n": None, "t": True}, {"source": "papers", "n": None, "t": True}, id="rest"
        ),
    ],
)
def test_fill(node, expected):
    assert fill(node, VALUES) == expected


def test_a_placeholder_without_value_is_an_error():
    with pytest.raises(KeyError):
        fill("{{unknown}}", VALUES)


def test_shipped_documents_are_found_in_a_checkout():
    assert document("component/base.json", {})["mappings"]["properties"].keys() == {"title", "abstract", "content"}
