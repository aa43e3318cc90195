"""The home of a local OpenSearch node: its jars come from Maven, its module descriptors from this module.

The repository has the modules' jars without the two text files that the node reads beside them. `MODULES` holds the
contents of these files. A home is read-only once it is made, and every instance shares it. Its name carries a hash of
its parts, so that a change of this file or of `node-pom.xml` makes another home beside it.
"""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from sidecar.errors import ConfigurationError
from sidecar.files import file_digest, locked
from sidecar.opensearch.java import find_java

OPENSEARCH_VERSION: Final = "2.19.1"

KNN: Final = "opensearch-knn"
NEURAL_SEARCH: Final = "neural-search"
SECURITY: Final = "opensearch-security"
PLUGINS: Final = frozenset({KNN, NEURAL_SEARCH})  # of a node, unless it is given others

# Zips that the repository serves without a checksum, so that Maven cannot check them, and their SHA-256.
PINNED: Final = {
    NEURAL_SEARCH: "b17ca1d774692902c58cbae102bf463970740c31d81446866e8eabd336e285aa",
    SECURITY: "94a04f12ac6033902209fac1e4e512618d45beee604bbf0e42c3ed79c55220cf",
}


@dataclass(frozen=True, slots=True)
class Module:
    """The descriptor of a module. `name` is its folder in `node-pom.xml` too."""

    name: str
    classname: str
    extends: str = ""


MODULES: Final = (
    Module("aggs-matrix-stats", "org.opensearch.search.aggregations.matrix.MatrixAggregationPlugin"),
    Module("analysis-common", "org.opensearch.analysis.common.CommonAnalysisPlugin", extends="lang-painless"),
    Module("geo", "org.opensearch.geo.GeoModulePlugin"),
    Module("ingest-common", "org.opensearch.ingest.common.IngestCommonPlugin", extends="lang-painless"),
    Module("lang-expression", "org.opensearch.script.expression.ExpressionPlugin"),
    Module("lang-mustache", "org.opensearch.script.mustache.MustachePlugin"),
    Module("lang-painless", "org.opensearch.painless.PainlessPlugin"),
    Module("mapper-extras", "org.opensearch.index.mapper.MapperExtrasPlugin"),
    Module("parent-join", "org.opensearch.join.ParentJoinPlugin"),
    Module("percolator", "org.opensearch.percolator.PercolatorPlugin"),
    Module("rank-eval", "org.opensearch.index.rankeval.RankEvalPlugin"),
    Module("reindex", "org.opensearch.index.reindex.ReindexPlugin"),
    Module("transport-netty4", "org.opensearch.transport.Netty4Plugin"),
)

_DOWNLOADED: Final = re.compile(r"\] Downloaded from \S+ \S*/(\S+\.(?:jar|zip)) ")

# The sum of the grants of the modules' own policies. One text serves all, in a node for development and tests.
POLICY: Final = """\
grant {
  permission java.lang.RuntimePermission "createClassLoader";
  permission java.lang.RuntimePermission "getClassLoader";
  permission java.lang.RuntimePermission "setContextClassLoader";
  permission java.lang.RuntimePermission "accessDeclaredMembers";
  permission java.net.SocketPermission "*", "accept,connect";
  permission java.io.FilePermission "/proc/sys/net/core/somaxconn", "read";
  permission java.util.PropertyPermission "sun.nio.ch.bugLevel", "write";
  permission java.net.NetPermission "getProxySelector";
};
"""


def descriptor(module: Module) -> str:
    """The `plugin-descriptor.properties` of a module."""
    properties = {
        "description": f"OpenSearch module {module.name}",
        "version": OPENSEARCH_VERSION,
        "name": module.name,
        "classname": module.classname,
        "java.version": "11",
        "opensearch.version": OPENSEARCH_VERSION,
        "extended.plugins": module.extends,
        "has.native.controller": "false",
    }
    return "".join(f"{name}={value}\n" for name, value in properties.items())


def home_name(pom: bytes, plugins: Collection[str]) -> str:
    """The name of the folder of a home: its version, and a hash over everything that decides its contents."""
    parts = (
        pom,
        POLICY.encode(),
        *(descriptor(module).encode() for module in MODULES),
        *map(str.encode, sorted(plugins)),
    )
    contents = hashlib.sha256(b"\0".join(parts)).hexdigest()
    return f"opensearch-{OPENSEARCH_VERSION}-{contents[:8]}"


def home_of(directory: Path, *, plugins: Collection[str] = PLUGINS) -> Path:
    """Where `assemble` puts the home."""
    return directory / home_name(_pom(), plugins)


def downloaded_file(line: str) -> str | None:
    """The file that is downloaded by a line of Maven's log; None for another line."""
    match = _DOWNLOADED.search(line)
    return match[1] if match else None


def failure(lines: Iterable[str]) -> str:
    """Why Maven failed, in its own words and one line."""
    errors = [line.removeprefix("[ERROR]").strip() for line in lines if line.startswith("[ERROR]")]
    return errors[0].partition(" -> [Help")[0] if errors else "it gave no reason"


def assemble(directory: Path, *, plugins: Collection[str] = PLUGINS, report: Callable[[str], None]) -> Path:
    """Make the home of the node under `directory`, unless it is there already, and return it.

    It is built beside its place and renamed under a lock, so that it is complete whenever it is there. `report` gets a
    sentence for each step. Blocks. Raises ConfigurationError if Java or Maven is missing, or if Maven fails.
    """
    home = home_of(directory, plugins=plugins)
    if home.is_dir():
        return home
    make_reachable(directory)
    with locked(directory / "assembly.lock"):
        if home.is_dir():
            return home
        with tempfile.TemporaryDirectory(dir=directory, prefix="assembling-") as scratch:
            built = Path(scratch, "home")
            _copy_artifacts(built, plugins, report)
            _describe_modules(built)
            _make_readable(built)
            built.rename(home)
    report(f"OpenSearch {OPENSEARCH_VERSION} is assembled in {home}")
    return home


def _pom() -> bytes:
    return resources.files("sidecar.opensearch").joinpath("node-pom.xml").read_bytes()


def _copy_artifacts(home: Path, plugins: Collection[str], report: Callable[[str], None]) -> None:
    pom = home.with_name("pom.xml")
    pom.write_bytes(_pom())
    report(f"Maven fetches OpenSearch {OPENSEARCH_VERSION}")
    checked = sorted(set(plugins) - PINNED.keys())
    _maven(["--strict-checksums", f"-P{','.join(checked)}", "process-resources"], pom, home, report)
    for plugin in sorted(set(plugins) & PINNED.keys()):
        _maven([f"-P{plugin}", f"dependency:copy@{plugin}"], pom, home, report)
        _unpack_pinned(home, plugin)


def _maven(arguments: Iterable[str], pom: Path, home: Path, report: Callable[[str], None]) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise ConfigurationError(
            "the local OpenSearch node is assembled with Maven, and there is no mvn on the PATH; "
            "install it (Debian: apt-get install maven)"
        )
    options = ["--batch-mode", "--update-snapshots", "-Dstyle.color=never", "--file", str(pom), f"-Dhome={home}"]
    with subprocess.Popen(  # noqa: S603 - the operator's own Maven
        [maven, *options, *arguments],
        env={**os.environ, "JAVA_HOME": str(find_java().home)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        lines = _follow(process.stdout or (), report)
    if process.returncode != 0:
        raise ConfigurationError(f"Maven could not assemble the local OpenSearch node: {failure(lines)}")


def _unpack_pinned(home: Path, plugin: str) -> None:
    """Unpack a zip that Maven could not check. Raises ConfigurationError if it is not the one that is pinned."""
    folder = home / "unverified"
    (archive,) = folder.glob(f"{plugin}-*.zip")
    found = file_digest(archive)
    if found != PINNED[plugin]:
        raise ConfigurationError(f"{archive.name} has the SHA-256 {found}, but {PINNED[plugin]} is pinned")
    with zipfile.ZipFile(archive) as zipped:
        zipped.extractall(home / "plugins" / plugin)
    shutil.rmtree(folder)


def _follow(log: Iterable[str], report: Callable[[str], None]) -> list[str]:
    lines = []
    files = 0
    for line in log:
        lines.append(line)
        name = downloaded_file(line)
        if name is not None:
            files += 1
            report(f"downloaded {name} ({files} files so far)")
    return lines


def _describe_modules(home: Path) -> None:
    for module in MODULES:
        folder = home / "modules" / module.name
        (folder / "plugin-descriptor.properties").write_text(descriptor(module))
        (folder / "plugin-security.policy").write_text(POLICY)
    for name in ("bin", "plugins"):  # the node would make those that are missing, and may not write here
        (home / name).mkdir(exist_ok=True)


def make_reachable(directory: Path) -> None:
    """Make a folder that the node's user can enter, also under a strict umask."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        path.chmod(0o755)


def _make_readable(home: Path) -> None:
    home.chmod(0o755)
    for path in home.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
