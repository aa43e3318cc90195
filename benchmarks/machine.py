"""What numbers were measured on, in words: to be printed with them."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

# Of the configuration: a node that is measured compiles what is hot as well as a cluster does.
MEASURED_NODE = {"node.java_options": ""}

_PACKAGES = ("torch", "sentence-transformers", "openvino", "tokenizers", "aiohttp", "grpcio")


def machine(about: str) -> str:
    """The processor, its load now, and the versions of what computes; `about` says what else matters."""
    described = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.partition(":")[2].strip() for line in described if line.startswith("model name"))
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    return (
        f"{next(names, platform.machine())}, {cores} cores, load before {load:.1f}; {about}; "
        f"Python {platform.python_version()}, {', '.join(map(_versioned, _PACKAGES))}"
    )


def _versioned(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"no {package}"
