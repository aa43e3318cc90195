"""The Java that runs the local node."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sidecar.errors import ConfigurationError

# 24 and later have no security manager, without which OpenSearch 2.19 does not start.
FIT: Final = frozenset({17, 21})

_JVMS: Final = Path("/usr/lib/jvm")
_VERSION: Final = re.compile(r'version "(\d+)')
_ANSWER_TIMEOUT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Java:
    """An installed Java."""

    executable: Path
    major: int

    @property
    def home(self) -> Path:
        """The folder for JAVA_HOME."""
        return self.executable.parent.parent


def parse_major(answer: str) -> int | None:
    """The major version in what `java -version` prints; None if there is none."""
    match = _VERSION.search(answer)
    return int(match[1]) if match else None


def choose(found: Sequence[Java]) -> Java:
    """The first Java that fits. Raises ConfigurationError, which names those that do not."""
    for java in found:
        if java.major in FIT:
            return java
    others = ", ".join(f"{java.major} at {java.executable}" for java in found) or "none"
    raise ConfigurationError(
        f"the local OpenSearch node needs Java 17 or 21, found: {others}; "
        "install one (Debian: apt-get install openjdk-17-jre-headless) or set JAVA_HOME to it"
    )


def find_java() -> Java:
    """The first Java that fits, of JAVA_HOME, PATH and the usual folder, in this order. Raises ConfigurationError."""
    found: list[Java] = []
    for executable in dict.fromkeys(_candidates()):
        major = _ask(executable)
        if major is not None:
            found.append(Java(executable, major))
            if major in FIT:
                break
    return choose(found)


def _candidates() -> Iterator[Path]:
    named = [Path(os.environ["JAVA_HOME"], "bin", "java")] if os.environ.get("JAVA_HOME") else []
    on_path = shutil.which("java")
    if on_path is not None:
        named.append(Path(on_path))
    for executable in (*named, *sorted(_JVMS.glob("*/bin/java"))):
        if executable.is_file():
            yield executable.resolve()


def _ask(executable: Path) -> int | None:
    try:
        answer = subprocess.run(  # noqa: S603 - the operator's own Java
            [executable, "-version"], capture_output=True, text=True, timeout=_ANSWER_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_major(answer.stderr)
