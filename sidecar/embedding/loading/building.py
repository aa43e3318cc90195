"""Builds the artifact of a model version for a back end. Building needs torch, serving the artifact does not."""

import logging
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import numpy as np
from numpy.typing import NDArray

from sidecar.embedding.backends import BUILT, Backend, load_backend
from sidecar.embedding.backends.openvino import MODEL_FILE, padded_batch, without_telemetry
from sidecar.embedding.loading.cpus import available_cpus
from sidecar.embedding.loading.selftest import REFERENCES_FILE, check, cosines, probe_texts
from sidecar.embedding.text.tokenizer import TextTokenizer
from sidecar.errors import ConfigurationError, InvalidInput
from sidecar.model import ModelVersion, Role
from sidecar.models.artifacts import Artifact, ArtifactFacts, Distance
from sidecar.models.store import ModelStore

if TYPE_CHECKING:
    from openvino import Model

    from sidecar.embedding.backends.torch import TorchBackend

TEXTS: Final = 340  # the number of texts that a build wants

_MEASURED: Final = 40  # the last of them. The others calibrate

_TOOLS: Final = ("nncf", "openvino", "sentence-transformers", "torch", "transformers")


def build(
    name: str, backend: str, store: ModelStore, *, texts: Sequence[str], report: Callable[[str], None]
) -> Artifact:
    """Convert a model version for a back end, quantise it, test it and install it. `report` gets a sentence per step.

    `texts` are passages like those that will be embedded. The last 40 measure the distance to float32, the others
    calibrate openvino-int8. Takes seconds to a minute, mostly for the calibration. Raises ModelNotFound, InvalidInput,
    and ConfigurationError if a library is missing or the new artifact fails the self-test.
    """
    if backend not in BUILT:
        raise InvalidInput("backend", f"[{backend}] is not one that is built; those are {', '.join(BUILT)}")
    if len(texts) <= _MEASURED:
        raise InvalidInput("texts", f"must be more than {_MEASURED}, better {TEXTS}, not {len(texts)}")
    version, folder = store.open(name)
    make = partial(_make, version=version, folder=folder, backend=backend, texts=texts, report=report)
    return store.artifacts.install(version, backend, make)


def _make(
    target: Path,
    *,
    version: ModelVersion,
    folder: Path,
    backend: str,
    texts: Sequence[str],
    report: Callable[[str], None],
) -> ArtifactFacts:
    report("loading the model in torch")
    options = {"max_tokens": version.max_tokens, "threads": available_cpus()}
    torch = cast("TorchBackend", load_backend("torch", folder, pad_id=0, **options)[0])
    tokenizer = TextTokenizer.from_json((folder / "tokenizer.json").read_bytes(), version.max_tokens)
    prompted = [version.prompts.of(Role.PASSAGE) + text for text in texts]
    calibrating, measured = _ids(tokenizer, prompted[:-_MEASURED]), _ids(tokenizer, prompted[-_MEASURED:])
    try:
        report("converting it to OpenVINO")
        model = _convert(torch)
        if backend == "openvino-w8":
            report("compressing the weights to 8 bits")
            model = _compressed(model)
        elif backend == "openvino-int8":
            report(f"quantising it with {len(calibrating)} texts")
            model = _quantised(model, calibrating, torch.pad_id)
        _save(model, target / MODEL_FILE)
    except ImportError as error:
        raise ConfigurationError(f"building for back end [{backend}] needs the extra [build]: {error}") from error
    report("measuring it against float32")
    probes = _ids(tokenizer, probe_texts(version))
    references = torch.compute(probes)
    np.save(target / REFERENCES_FILE, references)
    built = load_backend(backend, target, pad_id=torch.pad_id, **options)[0]
    check(version, backend, built.compute(probes), references)
    found = cosines(_one_by_one(built, measured), _one_by_one(torch, measured))
    return ArtifactFacts(
        pad_id=torch.pad_id,
        tools={tool: installed_version(tool) for tool in _TOOLS},
        distance=Distance(texts=len(measured), cosine_min=float(found.min()), cosine_mean=float(found.mean())),
    )


def _ids(tokenizer: TextTokenizer, texts: Sequence[str]) -> list[NDArray[np.int32]]:
    return [text.ids for text in tokenizer.encode(texts)]


def _one_by_one(backend: Backend, texts: Sequence[NDArray[np.int32]]) -> NDArray[np.float32]:
    return np.concatenate([backend.compute([ids]) for ids in texts])


def _convert(torch: "TorchBackend") -> "Model":
    without_telemetry()
    import openvino  # noqa: PLC0415 - only a build waits for it here
    from transformers.utils import logging as transformers_logging  # noqa: PLC0415

    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # while tracing it warns of a loss
    module, example = torch.traceable()
    with warnings.catch_warnings(action="ignore"):  # about deprecated tracing, and about branches in the libraries
        return openvino.convert_model(module, example_input=example)


def _compressed(model: "Model") -> "Model":
    import nncf  # noqa: PLC0415

    nncf.set_log_level(logging.ERROR)  # otherwise it prints a table of bit widths
    compressed: Model = nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_SYM)
    return compressed


def _quantised(model: "Model", texts: Sequence[NDArray[np.int32]], pad_id: int) -> "Model":
    import nncf  # noqa: PLC0415

    samples = nncf.Dataset([padded_batch([ids], len(ids), pad_id) for ids in texts])
    quantised: Model = nncf.quantize(
        model, samples, model_type=nncf.ModelType.TRANSFORMER, subset_size=len(texts), fast_bias_correction=True
    )
    return quantised


def _save(model: "Model", path: Path) -> None:
    import openvino  # noqa: PLC0415

    openvino.save_model(model, path, compress_to_fp16=False)  # the default would halve the precision of the weights
