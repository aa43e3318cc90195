"""Checks that models fit into memory, before any is loaded. A server that swaps answers nobody in time.

The sizes are the measured growth of a process that loads and tests MiniLM (91 MB in float32) and a BERT of 438 MB.
Memory that only maps the code of a library is left out, because the system can take it back.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sidecar.embedding.loading.cgroups import MEMBERSHIP, ROOT, cgroups_of, read
from sidecar.errors import ConfigurationError

_MB: Final = 1_000_000
_LIBRARY_BYTES: Final = {"torch": 520 * _MB, "openvino": 70 * _MB}  # once for all models


@dataclass(frozen=True, slots=True)
class _Cost:
    library: str
    copies: float  # of its weight files: mapped, or repacked for the processor, with embeddings in float32
    fixed_bytes: int  # for the graph, the kernels, and the activations of a full batch


_COSTS: Final = {
    "torch": _Cost("torch", 1.0, 50 * _MB),
    "torch-fp16": _Cost("torch", 1.0, 50 * _MB),  # in float32 until it goes to the GPU
    "openvino": _Cost("openvino", 2.0, 60 * _MB),
    "openvino-w8": _Cost("openvino", 2.5, 75 * _MB),
    "openvino-int8": _Cost("openvino", 3.0, 110 * _MB),  # measured with MiniLM only
}

# The files of cgroup versions 2 and 1: limit, usage, and the name of the droppable part of the usage in memory.stat.
_FILES: Final = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


@dataclass(frozen=True, slots=True)
class ModelToLoad:
    """The size of a model before it is loaded."""

    model: str
    backend: str
    weight_bytes: int  # of the files that the back end reads


def needed_bytes(loads: Sequence[ModelToLoad]) -> int:
    """The peak of memory when one process loads all of these."""
    costs = [(_COSTS[load.backend], load.weight_bytes) for load in loads]
    libraries = {cost.library for cost, _ in costs}
    return sum(_LIBRARY_BYTES[library] for library in libraries) + sum(
        cost.fixed_bytes + round(cost.copies * weight_bytes) for cost, weight_bytes in costs
    )


def check_memory(loads: Sequence[ModelToLoad], available: int | None) -> None:
    """Refuse the first model that does not fit beside the earlier ones. `available` is None if it is not known.

    Raises ConfigurationError, which names the model, the bytes that it needs and that are available, and the setting.
    """
    for count, load in enumerate(loads, start=1):
        needed = needed_bytes(loads[:count])
        if available is not None and needed > available:
            beside = f", with {', '.join(one.model for one in loads[: count - 1])} before it," if count > 1 else ""
            raise ConfigurationError(
                f"model [{load.model}] on back end [{load.backend}]{beside} needs some {needed // _MB} MB, but "
                f"{available // _MB} MB are available; embedder.memory_bytes sets another limit"
            )


def weight_bytes(folder: Path, files: Iterable[str]) -> int:
    """The size of the weight files of a model or an artifact. Raises OSError."""
    return sum((folder / file).stat().st_size for file in files)


def available_bytes(
    limit: int = 0, *, cgroup: Path = ROOT, membership: Path = MEMBERSHIP, meminfo: Path = Path("/proc/meminfo")
) -> int | None:
    """The limit, or with 0 the free memory of the process's cgroups and the machine. None if it is not known."""
    if limit:
        return limit
    folders = cgroups_of("memory", root=cgroup, membership=membership)
    free = [_free_of_cgroup(folder, *names) for folder in folders for names in _FILES]
    free.append(_free_of_machine(read(meminfo)))
    return min((found for found in free if found is not None), default=None)


def _free_of_cgroup(folder: Path, limit_file: str, usage_file: str, droppable: str) -> int | None:
    limit, usage = read(folder / limit_file).strip(), read(folder / usage_file).strip()
    if not limit.isdigit() or not usage.isdigit():  # there is no limit ("max"), or no such cgroup
        return None
    # Files that were read lately count as used. The files of the models are among them, as they have just been hashed.
    dropped = next((int(value) for name, value in _pairs(read(folder / "memory.stat")) if name == droppable), 0)
    return max(int(limit) - int(usage) + dropped, 0)


def _free_of_machine(meminfo: str) -> int | None:
    return next((int(value) * 1_024 for name, value in _pairs(meminfo) if name == "MemAvailable:"), None)


def _pairs(lines: str) -> list[tuple[str, str]]:
    """The name and the number of each line that has both."""
    words = [line.split() for line in lines.splitlines()]
    return [(some[0], some[1]) for some in words if len(some) > 1 and some[1].isdigit()]
