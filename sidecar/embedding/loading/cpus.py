"""The CPUs that this process may really use. A container limits them in its cgroup, not in the number of cores."""

import math
import os
from pathlib import Path
from typing import Final

_V2: Final = Path("/sys/fs/cgroup/cpu.max")
_V1_QUOTA: Final = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")
_V1_PERIOD: Final = Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us")
_CPUINFO: Final = Path("/proc/cpuinfo")

_VNNI: Final = frozenset({"avx512_vnni", "avx_vnni"})  # the names that Linux uses


def quota_cpus(quota: str, period: str) -> int | None:
    """A cgroup's quota as a number of CPUs, rounded up. None if it sets no limit."""
    if not quota.isdigit() or not period.isdigit() or int(period) == 0:  # no limit: "max", or -1 in version 1
        return None
    return max(math.ceil(int(quota) / int(period)), 1)


def available_cpus() -> int:
    """The smaller of the CPUs that this process may run on and its cgroup's quota."""
    affinity = len(os.sched_getaffinity(0))
    quota = quota_cpus(*_read_quota())
    return affinity if quota is None else min(affinity, quota)


def names_vnni(cpuinfo: str) -> bool:
    """Whether /proc/cpuinfo lists instructions that multiply and add bytes."""
    return any(line.startswith("flags") and not _VNNI.isdisjoint(line.split()) for line in cpuinfo.splitlines())


def has_vnni() -> bool:
    """Whether this CPU multiplies and adds bytes in one instruction. False if that is not known."""
    try:
        return names_vnni(_CPUINFO.read_text("ascii", "replace"))
    except OSError:
        return False


def _read_quota() -> tuple[str, str]:
    try:
        if _V2.exists():
            quota, _, period = _V2.read_text("ascii").strip().partition(" ")
            return quota, period
        return _V1_QUOTA.read_text("ascii").strip(), _V1_PERIOD.read_text("ascii").strip()
    except OSError:
        return "max", ""
