"""MiniLM with 8-bit weights, which the embedders of a test run compute with: built once for all runs of this user."""

import hashlib
import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import platformdirs

from sidecar.config import APP
from sidecar.files import locked
from sidecar.models.catalogue import shipped_versions
from tests.support.folders import ROOT

MINILM = "all-minilm-l6-v2@1"
W8 = f"{MINILM}/openvino-w8"
TEXTS = [f"Passage {number} says that {number * 7} is a number." * (1 + number % 5) for number in range(60)]


def build_w8() -> Path:
    """A models.dir that holds the built model. What is there already and undamaged is kept by the command itself.

    The folder is named after all that a build depends on: the model's space, the tools, our own code and the texts.
    """
    parts = (
        shipped_versions()[MINILM].space,
        *(f"{tool} {version(tool)}" for tool in ("openvino", "nncf", "torch")),
        (ROOT / "sidecar" / "embedding" / "loading" / "building.py").read_text("utf-8"),
        *TEXTS,
    )
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    models = Path(platformdirs.user_cache_dir(APP), "tests", f"models-{key}")
    models.mkdir(parents=True, exist_ok=True)
    with locked(models / "lock"):
        texts = models / "texts.txt"
        texts.write_text("\n".join(TEXTS) + "\n\n", "utf-8")
        # In a process of its own: torch and NNCF stay out of the one that runs the tests.
        done = subprocess.run(
            [sys.executable, "-m", "sidecar.cli.main", "model", "build", MINILM, "--texts", str(texts), "--json"],
            env={**os.environ, "SIDECAR_MODELS_DIR": str(models)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    built = json.loads(done.stdout)
    assert (built["model"], built["backend"], built["distance"]["texts"]) == (MINILM, "openvino-w8", 40)
    assert 0.99 < built["distance"]["cosine_min"] < built["distance"]["cosine_mean"] < 1
    return models
