"""The cgroups of this process. Each one limits it, and so does every cgroup above it: the smallest limit counts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path("/sys/fs/cgroup")
MEMBERSHIP: Final = Path("/proc/self/cgroup")

_UNIFIED: Final = "unified"  # where version 2 is mounted beside version 1


def cgroups_of(controller: str, *, root: Path = ROOT, membership: Path = MEMBERSHIP) -> tuple[Path, ...]:
    """The folders with the limits of a controller, of both versions, from the process's own cgroup to the topmost one.

    A container may see its own cgroup as the topmost one and still be told the path that the machine knows. That path
    has no folder here, so some of the folders may be absent.
    """
    found: list[Path] = []
    for line in read(membership).splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        names = controllers.split(",")
        if controllers and controller not in names:
            continue
        mounts = (root / controller, root / controllers) if controllers else (root, root / _UNIFIED)
        for mount in mounts:
            found.extend(_upwards(mount, path))
    return tuple(dict.fromkeys([*found, root / controller, root]))


def read(file: Path) -> str:
    """The content of a file of the kernel. Empty if it cannot be read."""
    try:
        return file.read_text("ascii", "replace")
    except OSError:
        return ""


def _upwards(mount: Path, path: str) -> Iterator[Path]:
    parts = [part for part in path.split("/") if part]
    if ".." in parts:  # the cgroup lies outside of what this process may see
        parts = []
    for end in range(len(parts), -1, -1):
        yield mount.joinpath(*parts[:end])
