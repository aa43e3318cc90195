import json

import pytest

from sidecar.errors import InvalidInput
from sidecar.models.fingerprint import needed_files, tokenizer_hash, weight_files

FILES = (
    "1_Pooling/config.json",
    "2_Dense/config.json",
    "2_Dense/model.safetensors",
    "2_Dense/pytorch_model.bin",
    "README.md",
    "config.json",
    "model.safetensors",
    "modeling_custom.py",
    "onnx/model.onnx",
    "onnx/config.json",
    "openvino/model.safetensors",
    "pytorch_model.bin",
    "tf_model.h5",
    "tokenizer.json",
    "vocab.txt",
)
MODULES = ("", "1_Pooling", "2_Dense", "3_Normalize")


@pytest.mark.parametrize(
    ("files", "weights"),
    [
        pytest.param(FILES, ("model.safetensors", "2_Dense/model.safetensors"), id="safetensors before pickles"),
        pytest.param(("pytorch_model.bin", "training_args.bin"), ("pytorch_model.bin",), id="pickles if nothing else"),
        pytest.param(
            ("model-00002-of-00002.safetensors", "model-00001-of-00002.safetensors"),
            ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"),
            id="every shard",
        ),
        pytest.param(("onnx/model.onnx",), (), id="no fp32 weights"),
    ],
)
def test_weight_files(files: tuple[str, ...], weights: tuple[str, ...]) -> None:
    assert weight_files(files, MODULES) == weights


def test_needed_files_leave_code_and_duplicates_out() -> None:
    assert needed_files(FILES, MODULES) == (
        "model.safetensors",
        "2_Dense/model.safetensors",
        "1_Pooling/config.json",
        "2_Dense/config.json",
        "config.json",
        "tokenizer.json",
        "vocab.txt",
    )


def test_truncation_padding_order_and_spaces_do_not_change_the_tokenizers_hash() -> None:
    one = {
        "version": "1.0",
        "truncation": {"max_length": 128},
        "padding": {"strategy": {"Fixed": 128}},
        "model": {"é": 1},
    }
    other = {"model": {"é": 1}, "version": "1.0", "truncation": None}
    assert tokenizer_hash(json.dumps(one, indent=2).encode()) == tokenizer_hash(json.dumps(other).encode())
    assert tokenizer_hash(json.dumps({**other, "model": {"e": 1}}).encode()) != tokenizer_hash(
        json.dumps(other).encode()
    )


@pytest.mark.parametrize("content", [pytest.param(b"{", id="not JSON"), pytest.param(b"[]", id="not an object")])
def test_a_damaged_tokenizer_is_named(content: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"tokenizer\.json"):
        tokenizer_hash(content)
