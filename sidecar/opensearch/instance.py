"""The folder of one node: its files, its configuration, and the reason in its log for a failed start."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sidecar.config import NodeSettings
from sidecar.errors import ErrorKind, SidecarError
from sidecar.index_description import NO_NATIVE_KNN
from sidecar.jsontext import Json, dumps

_LOG4J: Final = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d{ISO8601}][%-5p][%-25c{1.}] %m%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
"""

MAIN_CLASS: Final = "org.opensearch.bootstrap.OpenSearch"

# From the most to the least precise.
_REASONS: Final = (
    re.compile(r"(?:StartupException|BootstrapException|Exception in thread \S+): (.+)"),
    re.compile(r"\[ERROR\]\[[^]]*\] (.+)"),
    re.compile(r"^Error occurred during initialization of VM\n(.+)"),
    re.compile(r"Caused by: (.+)"),
)


@dataclass(eq=False)
class NodeFailed(SidecarError):
    """The local node did not come up."""

    reason: str
    log: str
    kind = ErrorKind.UNAVAILABLE

    def __str__(self) -> str:
        return f"the local OpenSearch node did not start: {self.reason} (its log: {self.log})"


_LAYERS: Final = ("http", "transport")
_CERTIFIED: Final = {"pemcert_filepath": "node.pem", "pemkey_filepath": "node.key", "pemtrustedcas_filepath": "ca.pem"}


@dataclass(frozen=True, slots=True)
class Security:
    """The certificate and the administrator of a node with the security plugin.

    The plugin has the users of its demonstration, and `user` is one of them.
    """

    authority: Path
    certificate: Path
    key: Path
    user: str = "admin"
    password: str = "admin"  # noqa: S105 - known to everybody, like everything on a local node

    @property
    def files(self) -> Mapping[str, Path]:
        """The files in `conf`, and the files that they are copies of."""
        return {"ca.pem": self.authority, "node.pem": self.certificate, "node.key": self.key}

    @property
    def settings(self) -> Mapping[str, Json]:
        """The part of the node's configuration about it, with the names of the files in `conf`."""
        return {
            **{f"plugins.security.ssl.{layer}.{key}": name for layer in _LAYERS for key, name in _CERTIFIED.items()},
            "plugins.security.ssl.transport.enforce_hostname_verification": False,
            "plugins.security.ssl.http.enabled": True,
            "plugins.security.allow_default_init_securityindex": True,
            "plugins.security.restapi.roles_enabled": ["all_access"],
        }


@dataclass(frozen=True, slots=True)
class Instance:
    """The files of one node. The home with the jars is shared and read-only."""

    directory: Path
    security: Security | None = None

    @property
    def conf(self) -> Path:
        return self.directory / "conf"

    @property
    def log(self) -> Path:
        return self.directory / "node.log"

    @property
    def ports_file(self) -> Path:
        """The file in which the node writes the HTTP addresses that it listens on, one a line."""
        return self.directory / "logs" / "http.ports"

    def bound_address(self) -> str | None:
        """The HTTP address of a node that has come up; None as long as it has not."""
        lines = self.ports_file.read_text().split() if self.ports_file.exists() else []
        return lines[0] if lines else None

    @property
    def folders(self) -> Sequence[Path]:
        return [self.directory / name for name in ("conf", "data", "logs", "tmp")]

    def configuration(self, port: int) -> Mapping[str, str]:
        """The files of `conf`, by name. JSON is YAML too, and needs no rules of quoting."""
        settings: dict[str, Json] = {
            "cluster.name": "sidecar-local",
            "node.name": "local",
            "node.portsfile": True,
            "path.data": str(self.directory / "data"),
            "path.logs": str(self.directory / "logs"),
            "discovery.type": "single-node",
            f"node.attr.{NO_NATIVE_KNN}": "true",  # Maven has the plugin, and not its library
            "network.host": "127.0.0.1",
            "http.port": port,
            "transport.port": 0,
            # A developer's full disk must not make indices read-only.
            "cluster.routing.allocation.disk.threshold_enabled": False,
            **(self.security.settings if self.security else {}),
        }
        return {"opensearch.yml": dumps(settings).decode("ascii") + "\n", "log4j2.properties": _LOG4J}

    def arguments(self, home: Path, settings: NodeSettings) -> Sequence[str]:
        """The arguments of Java."""
        return (
            f"-Xms{settings.heap}",
            f"-Xmx{settings.heap}",
            *settings.java_options.split(),
            f"-Djava.io.tmpdir={self.directory / 'tmp'}",
            f"-XX:ErrorFile={self.directory / 'logs' / 'hs_err.log'}",
            "-Djava.security.manager=allow",
            "-Dlog4j2.disable.jmx=true",
            "-Dlog4j.shutdownHookEnabled=false",  # OpenSearch ends the log. If log4j did, the stop would hang for 30 s.
            "-Dopensearch.distribution.type=tar",
            f"-Dopensearch.path.home={home}",
            self.conf_argument,
            *("-cp", f"{home}/lib/*", MAIN_CLASS),
        )

    @property
    def conf_argument(self) -> str:
        """The argument that no other instance has. It distinguishes the node from a process with its old id."""
        return f"-Dopensearch.path.conf={self.conf}"


def failure_reason(log: str) -> str:
    """The sentence of a node's log that says why it did not start."""
    for pattern in _REASONS:
        match = pattern.search(log)
        if match is not None:
            return match[1].strip()
    lines = log.strip().splitlines()
    return lines[-1] if lines else "it ended without a word"
