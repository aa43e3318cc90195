"""Facts about a model, from the JSON documents in its sentence-transformers folder. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sidecar.errors import InvalidInput
from sidecar.jsontext import Json
from sidecar.model import Prompts

MODULES_FILE: Final = "modules.json"
_PROMPTS_FILE: Final = "config_sentence_transformers.json"
_TRANSFORMER_FILE: Final = "sentence_bert_config.json"
_TOKENIZER_FILE: Final = "tokenizer_config.json"

# The names of the files with facts.
DESCRIPTIONS: Final = frozenset({MODULES_FILE, _PROMPTS_FILE, _TRANSFORMER_FILE, _TOKENIZER_FILE, "config.json"})

# The modules that our back ends can reproduce. Another one would change the vectors unnoticed.
_KNOWN_MODULES: Final = frozenset({"Transformer", "Pooling", "Dense", "Normalize"})

_OLD_POOLING: Final = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "lasttoken",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
}


@dataclass(frozen=True, slots=True)
class Facts:
    """How a model computes the vector of a text."""

    pooling: str
    normalized: bool
    dimension: int
    max_tokens: int | None  # None if the folder does not say
    prompts: Prompts
    dot_product: bool  # the vectors are meant for the inner product


def module_folders(modules: Json) -> tuple[str, ...]:
    """The folders of a model's modules, relative to its own. Raises InvalidInput."""
    return tuple(folder for _, folder in _modules(modules))


def facts_of(documents: Mapping[str, Json]) -> Facts:
    """The facts in a model's JSON files (path relative to its folder -> content).

    Raises InvalidInput if a file is missing or says something that we cannot reproduce.
    """
    modules = _modules(documents.get(MODULES_FILE))
    _check_order([kind for kind, _ in modules])
    folders = dict(modules)  # the last of several Dense layers decides on the dimension
    transformer = _document(documents, _inside(folders["Transformer"], _TRANSFORMER_FILE))
    if transformer.get("do_lower_case"):
        raise InvalidInput("do_lower_case", "is not supported; the tokenizer itself must lower the case")
    pooling = _document(documents, _inside(folders["Pooling"], "config.json"))
    if pooling.get("include_prompt") is False:
        raise InvalidInput("include_prompt", "false is not supported: prompts are pooled with their text")
    top = _document(documents, _PROMPTS_FILE)
    return Facts(
        pooling=_pooling(pooling),
        normalized="Normalize" in folders,
        dimension=_dimension(documents, folders, pooling),
        max_tokens=_max_tokens(documents, folders["Transformer"], transformer),
        prompts=_prompts(top),
        dot_product=top.get("similarity_fn_name") == "dot",
    )


def _modules(modules: Json) -> list[tuple[str, str]]:
    """Kind and folder of each module."""
    if not isinstance(modules, list):
        raise InvalidInput(MODULES_FILE, "must be there and hold a list: this is no sentence-transformers folder")
    found = []
    for module in modules:
        if not isinstance(module, dict) or not isinstance(module.get("type"), str):
            raise InvalidInput(MODULES_FILE, f"entry [{module}] has no type")
        kind = str(module["type"]).rpartition(".")[2]
        if kind not in _KNOWN_MODULES:
            raise InvalidInput(
                MODULES_FILE, f"module [{kind}] is not supported; known: {', '.join(sorted(_KNOWN_MODULES))}"
            )
        found.append((kind, str(module.get("path", ""))))
    return found


def _check_order(kinds: list[str]) -> None:
    """Our back ends pool the output of the transformer, then project it. The server normalises."""
    if (
        kinds[:2] != ["Transformer", "Pooling"]
        or set(kinds[2:-1]) - {"Dense"}
        or set(kinds[2:]) - {"Dense", "Normalize"}
    ):
        raise InvalidInput(
            MODULES_FILE, f"modules must be in the order Transformer, Pooling, Dense, Normalize, not {kinds}"
        )


def _inside(folder: str, file: str) -> str:
    return f"{folder}/{file}" if folder else file


def _document(documents: Mapping[str, Json], path: str) -> dict[str, Json]:
    document = documents.get(path, {})
    if not isinstance(document, dict):
        raise InvalidInput(path, "must be a JSON object")
    return document


def _pooling(config: Mapping[str, Json]) -> str:
    mode = config.get("pooling_mode")
    modes = [str(mode)] if mode is not None else [name for key, name in _OLD_POOLING.items() if config.get(key)]
    if len(modes) != 1 or modes[0] not in {"mean", "cls", "max", "lasttoken"}:
        raise InvalidInput("pooling", f"must be one of mean, cls, max and lasttoken, not {modes}")
    return modes[0]


def _dimension(documents: Mapping[str, Json], folders: Mapping[str, str], pooling: Mapping[str, Json]) -> int:
    dense = _document(documents, _inside(folders["Dense"], "config.json")) if "Dense" in folders else {}
    for config, key in (
        (dense, "out_features"),
        (pooling, "embedding_dimension"),
        (pooling, "word_embedding_dimension"),
    ):
        value = _optional_int(config, key)
        if value is not None:
            return value
    raise InvalidInput("dimension", "is not said by the pooling module's config.json")


def _max_tokens(documents: Mapping[str, Json], folder: str, transformer: Mapping[str, Json]) -> int | None:
    """Old models say it in sentence_bert_config.json, new ones in tokenizer_config.json, but maybe as "no limit"."""
    said = _optional_int(transformer, "max_seq_length")
    if said is not None:
        return said
    tokens = _optional_int(_document(documents, _inside(folder, _TOKENIZER_FILE)), "model_max_length")
    positions = _optional_int(_document(documents, _inside(folder, "config.json")), "max_position_embeddings")
    return tokens if tokens is not None and positions is not None and tokens <= positions else None


def _optional_int(config: Mapping[str, Json], key: str) -> int | None:
    value = config.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or value < 1:
        raise InvalidInput(key, f"must be a positive whole number, not [{value}]")
    return value


def _prompts(config: Mapping[str, Json]) -> Prompts:
    prompts = config.get("prompts")
    if not isinstance(prompts, dict):
        return Prompts()
    passage = next((prompts[name] for name in ("passage", "document", "corpus") if prompts.get(name)), "")
    return Prompts(passage=str(passage), query=str(prompts.get("query") or ""))
