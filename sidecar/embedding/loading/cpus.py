"""The CPUs that this process may really use. A container limits them in a cgroup, not in the number of cores."""

import math
import os
from pathlib import Path
from typing import Final

from sidecar.embedding.loading.cgroups import MEMBERSHIP, ROOT, cgroups_of, read

_CPUINFO: Final = Path("/proc/cpuinfo")

_VNNI: Final = frozenset({"avx512_vnni", "avx_vnni"})  # the names that Linux uses


def quota_cpus(quota: str, period: str) -> int | None:
    """A cgroup's quota as a number of CPUs, rounded up. None if it sets no limit."""
    if not quota.isdigit() or not period.isdigit() or int(period) == 0:  # no limit: "max", or -1 in version 1
        return None
    return max(math.ceil(int(quota) / int(period)), 1)


def available_cpus(*, root: Path = ROOT, membership: Path = MEMBERSHIP) -> int:
    """The smallest of the CPUs that this process may run on and the quotas of its cgroups."""
    quotas = (quota_cpus(*_quota_in(folder)) for folder in cgroups_of("cpu", root=root, membership=membership))
    return min([len(os.sched_getaffinity(0)), *(quota for quota in quotas if quota is not None)])


def names_vnni(cpuinfo: str) -> bool:
    """Whether /proc/cpuinfo lists instructions that multiply and add bytes."""
    return any(line.startswith("flags") and not _VNNI.isdisjoint(line.split()) for line in cpuinfo.splitlines())


def has_vnni() -> bool:
    """Whether this CPU multiplies and adds bytes in one instruction. False if that is not known."""
    return names_vnni(read(_CPUINFO))


def _quota_in(folder: Path) -> tuple[str, str]:
    """The quota and the period of a cgroup of version 2 or 1."""
    quota, _, period = read(folder / "cpu.max").strip().partition(" ")
    if quota:
        return quota, period
    return read(folder / "cpu.cfs_quota_us").strip(), read(folder / "cpu.cfs_period_us").strip()
