"""Compiled templates, and a cluster in which some are installed."""

from sidecar.model import ModelVersion
from sidecar.templates.compiler import compile_template, default_base
from sidecar.templates.installed import Installed

MINILM = ModelVersion(
    id="all-minilm-l6-v2@1",
    weights={"model.safetensors": "1" * 64},
    tokenizer="2" * 64,
    pooling="mean",
    max_tokens=256,
    normalized=True,
    dimension=384,
)
TINY = MINILM.model_copy(update={"id": "tiny@1", "dimension": 2})
NEXT = MINILM.model_copy(update={"id": "all-minilm-l6-v2@2", "tokenizer": "3" * 64})
CHANGED = MINILM.model_copy(update={"tokenizer": "3" * 64})


def compiled(name="papers", version=MINILM, base=None, **options):
    options = {"index_patterns": ["papers*"], "source": ["title"]} | options
    return compile_template(name, version, base or default_base(), **options)


def installed(*templates, others=None, fuses=True):
    documents = {path: body for template in templates for path, body in template.documents.items()}
    return Installed(documents | (others or {}), fuses)
