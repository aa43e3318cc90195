import pytest

from sidecar.errors import InvalidInput
from sidecar.jsontext import Json
from sidecar.model import Prompts
from sidecar.models.facts import Facts, facts_of, module_folders


def modules(*kinds: str) -> Json:
    return [
        {"path": "" if number == 0 else f"{number}_{kind}", "type": f"sentence_transformers.models.{kind}"}
        for number, kind in enumerate(kinds)
    ]


MINILM: dict[str, Json] = {
    "modules.json": modules("Transformer", "Pooling", "Normalize"),
    "sentence_bert_config.json": {"max_seq_length": 256, "do_lower_case": False},
    "1_Pooling/config.json": {"word_embedding_dimension": 384, "pooling_mode_mean_tokens": True},
}


def test_the_form_of_old_models() -> None:
    assert facts_of(MINILM) == Facts("mean", True, 384, 256, Prompts(), dot_product=False)


def test_the_form_of_new_models() -> None:
    documents: dict[str, Json] = {
        "modules.json": [
            {"path": "", "type": "sentence_transformers.base.modules.transformer.Transformer"},
            {"path": "1_Pooling", "type": "sentence_transformers.sentence_transformer.modules.pooling.Pooling"},
            {"path": "2_Dense", "type": "sentence_transformers.base.modules.dense.Dense"},
        ],
        "tokenizer_config.json": {"model_max_length": 512},
        "config.json": {"max_position_embeddings": 514},
        "1_Pooling/config.json": {"embedding_dimension": 384, "pooling_mode": "cls"},
        "2_Dense/config.json": {"in_features": 384, "out_features": 128},
        "config_sentence_transformers.json": {
            "prompts": {"query": "query: ", "document": "passage: "},
            "similarity_fn_name": "dot",
        },
    }
    prompts = Prompts(passage="passage: ", query="query: ")
    assert facts_of(documents) == Facts("cls", False, 128, 512, prompts, dot_product=True)


def test_module_folders() -> None:
    assert module_folders(MINILM["modules.json"]) == ("", "1_Pooling", "2_Normalize")


@pytest.mark.parametrize(
    "tokenizer",
    [
        pytest.param({}, id="nothing is said"),
        pytest.param({"model_max_length": 10**30}, id="no limit of the tokenizer's own"),
    ],
)
def test_a_limit_that_is_not_said_is_not_guessed(tokenizer: Json) -> None:
    documents = {**MINILM, "sentence_bert_config.json": {}, "tokenizer_config.json": tokenizer}
    assert facts_of({**documents, "config.json": {"max_position_embeddings": 512}}).max_tokens is None


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        pytest.param({"modules.json": None}, "no sentence-transformers folder", id="no modules.json"),
        pytest.param({"modules.json": [{"path": ""}]}, "has no type", id="a module without a type"),
        pytest.param({"modules.json": modules("Transformer", "Pooling", "LSTM")}, "LSTM", id="a module we do not know"),
        pytest.param({"modules.json": modules("Transformer", "Normalize", "Pooling")}, "order", id="another order"),
        pytest.param({"modules.json": modules("Transformer")}, "order", id="no pooling"),
        pytest.param({"1_Pooling/config.json": []}, "must be a JSON object", id="a list for an object"),
        pytest.param({"1_Pooling/config.json": {"pooling_mode": "mean"}}, "dimension", id="no dimension"),
        pytest.param(
            {"1_Pooling/config.json": {"word_embedding_dimension": "many", "pooling_mode": "mean"}},
            "positive whole number",
            id="dimension of another type",
        ),
        pytest.param({"1_Pooling/config.json": {"pooling_mode": ["cls", "mean"]}}, "pooling", id="two poolings"),
        pytest.param(
            {"1_Pooling/config.json": {"pooling_mode": "mean", "include_prompt": False}}, "include_prompt", id="prompt"
        ),
        pytest.param({"sentence_bert_config.json": {"do_lower_case": True}}, "do_lower_case", id="lower case outside"),
    ],
)
def test_what_we_cannot_reproduce_is_refused(changed: dict[str, Json], problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        facts_of({**MINILM, **changed})
