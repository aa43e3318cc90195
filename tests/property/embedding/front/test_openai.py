import json

from hypothesis import given
from hypothesis import strategies as st

from sidecar.embedding.front.openai import parse
from sidecar.errors import InvalidInput

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_FIELDS = st.sampled_from(["input", "model", "dimensions", "encoding_format", "user", "input_type", "truncate"])


def refused_or_parsed(body: bytes) -> None:
    try:
        asked = parse(body, None)
    except InvalidInput:
        return
    assert bool(asked.texts) != bool(asked.token_ids)
    asked.request("m@1", asked.texts).SerializeToString()


@given(st.dictionaries(_FIELDS, _JSON))
def test_any_document_is_parsed_or_refused(document: dict[str, object]) -> None:
    refused_or_parsed(json.dumps({"model": "m@1"} | document).encode())


@given(st.binary(max_size=40))
def test_any_bytes_are_parsed_or_refused(body: bytes) -> None:
    refused_or_parsed(body)
