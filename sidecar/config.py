"""All settings, each declared once. TOML file, environment and command line flags read the same fields.

Order, strongest first: flag, environment (`SIDECAR_BRIDGE_LISTEN`), file (`sidecar.toml`, or the one that `--config` or
`SIDECAR_CONFIG` names), default. `docs/configuration.md` is generated from this module.
"""

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import platformdirs
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    IPvAnyNetwork,
    SecretStr,
    ValidationError,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from sidecar.errors import ConfigurationError
from sidecar.files import unmarked

ENV_PREFIX: Final = "SIDECAR_"
CONFIG_VARIABLE: Final = f"{ENV_PREFIX}CONFIG"
DEFAULT_FILE: Final = Path("sidecar.toml")
APP: Final = "opensearch-embedding-sidecar"


def split_address(address: str) -> tuple[str, int]:
    """The two parts of `HOST:PORT`. IPv6 hosts are in brackets. Raises ValueError."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65_535:
        raise ValueError(f"must be HOST:PORT, not [{address}]")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _check_address(address: str) -> str:
    split_address(address)
    return address


def _check_url(url: str) -> str:
    if not url.startswith(("http://", "https://")) or len(url.split("/", 3)[2]) == 0:
        raise ValueError(f"must be an http:// or https:// URL, not [{url}]")
    return url.rstrip("/")


Address = Annotated[str, AfterValidator(_check_address)]
Url = Annotated[str, AfterValidator(_check_url)]
_CommaSeparated = BeforeValidator(lambda v: v.split(",") if isinstance(v, str) else v)
Names = Annotated[tuple[str, ...], NoDecode, _CommaSeparated]
Networks = Annotated[tuple[IPvAnyNetwork, ...], NoDecode, _CommaSeparated]
Addresses = Annotated[tuple[Address, ...], NoDecode, _CommaSeparated]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ClusterSettings(_Section):
    """The cluster that commands talk to directly."""

    url: Url = Field("http://127.0.0.1:9200", description="OpenSearch that our own commands talk to")
    user: str = Field("", description="User name for basic authentication of our own commands; empty: none")
    password: SecretStr = Field(SecretStr(""), description="Password of that user")
    tls_ca: str = Field(
        "", description="PEM file with the authorities of the cluster's certificate; empty: those of opensearch-py"
    )


class BridgeSettings(_Section):
    """The HTTP bridge."""

    listen: Address = Field("127.0.0.1:9201", description="Where clients connect")
    admin_listen: Address = Field("127.0.0.1:9202", description="Where /livez, /readyz and /metrics are served")
    upstream: Url = Field("http://127.0.0.1:9200", description="The cluster behind the bridge")
    upstream_tls_ca: str = Field(
        "", description="PEM file with the authorities of the cluster's certificate; empty: those of the system"
    )
    identity_headers: Names = Field(
        (),
        description="Further headers that say who a client is, such as X-JWT (in a variable: comma-separated); "
        "Authorization, Cookie and those of the security plugin are known",
    )
    identity_parameters: Names = Field(
        (), description="URL parameters that say who a client is, such as jwt (in a variable: comma-separated)"
    )
    embed_roles: Names = Field(
        (),
        description="Roles of the security plugin that may use /_plugins/_sidecar/embed (in a variable: "
        "comma-separated); empty: whoever may write a bound index",
    )
    embedder: Addresses = Field(
        ("127.0.0.1:50051",),
        description="The embedding server's replicas (gRPC), comma-separated; dns:///HOST:PORT: all of this name",
    )
    embedder_token_file: str = Field(
        "", description="File with the bearer token for the embedding server, reread when it changes; empty: none"
    )
    embedder_tls_ca: str = Field(
        "", description="PEM file with the authorities of the embedding server's certificate; empty: no TLS"
    )
    embedder_tls_certificate: str = Field(
        "", description="PEM file with our own certificate, for an embedding server that asks for one; empty: none"
    )
    embedder_tls_key: str = Field("", description="PEM file with the private key of that certificate")
    max_body_bytes: int = Field(
        104_857_600, gt=0, description="Largest decoded body of a write or search, as http.max_content_length"
    )
    max_inflight_bytes: int = Field(
        536_870_912,
        gt=0,
        description="Largest sum of the decoded bodies in work, 8 times those that are parsed whole; beyond it: 429",
    )
    max_connections: int = Field(
        8_192, gt=0, description="Most connections of all clients, or half of what the open files allow; beyond it: 503"
    )
    max_client_connections: int = Field(
        2_048, gt=0, description="Most connections of one client address that is no trusted proxy; beyond it: 429"
    )
    max_requests: int = Field(4_096, gt=0, description="Most requests of all clients in work; beyond it: 429")
    max_client_requests: int = Field(1_024, gt=0, description="Most requests of one client in work; beyond it: 429")
    max_client_bytes: int = Field(
        268_435_456,
        gt=0,
        description="Largest sum of the bodies of one client's writes and searches in work; then: 429",
    )
    trusted_proxies: Networks = Field(
        (),
        description="Addresses or networks of proxies whose X-Forwarded-* headers are believed and forwarded, "
        "comma-separated; of all others they are dropped",
    )
    connect_timeout_s: float = Field(2.0, gt=0, description="To open a connection to the cluster")
    write_embed_timeout_s: float = Field(
        60.0,
        gt=0,
        description="Embedding budget of one write; documents that are not embedded by then are indexed as pending",
    )
    write_answer_timeout_s: float = Field(
        300.0,
        ge=0,
        description="How long the cluster may be silent after a write; beyond it 504, never sent again; 0: no limit",
    )
    read_answer_timeout_s: float = Field(
        300.0,
        ge=0,
        description="How long the cluster may be silent after a search or a plain read; beyond it 504; 0: no limit",
    )
    search_embed_timeout_s: float | None = Field(
        None,
        gt=0,
        description="Embedding budget of one search; beyond it the search is lexical; unless set, the time in which "
        "the model computes ten texts of full length, from 0.2 to 10",
    )
    binding_ttl_s: float = Field(
        5.0, gt=0, description="How long a binding is used before it is read from the cluster again"
    )
    drain_timeout_s: float = Field(
        30.0, ge=0, description="How long the server waits for requests in work after SIGTERM"
    )


class EmbedderSettings(_Section):
    """The embedding server."""

    listen: Address = Field("127.0.0.1:50051", description="Where gRPC is served")
    http_listen: Address = Field(
        "127.0.0.1:8081", description="Where /v1/embeddings, /v1/models, /livez, /readyz and /metrics are served"
    )
    tokens_file: str = Field(
        "",
        description="File with the accepted bearer tokens, one a line, reread when it changes; empty: none is needed",
    )
    tls_certificate: str = Field(
        "", description="PEM file with the certificate chain for gRPC and HTTP, reread when it changes; empty: no TLS"
    )
    tls_key: str = Field("", description="PEM file with the private key of that certificate, not encrypted")
    tls_client_ca: str = Field(
        "",
        description="PEM file with the authorities of clients' certificates, required of each; empty: none asked for",
    )
    model: Names = Field(("all-minilm-l6-v2@1",), description="Model versions to load (in a variable: comma-separated)")
    threads: int = Field(0, ge=0, description="CPU threads for the model; 0: as many as the process may use")
    memory_bytes: int = Field(
        0, ge=0, description="Memory that the models may take; 0: the memory that is free when the server starts"
    )
    max_batch_tokens: int = Field(
        1_024,
        gt=0,
        description="Most tokens of one batch, padding included; on a GPU a larger number is measured at the start",
    )
    max_bulk_batch_ms: float = Field(
        50.0, gt=0, description="How long a bulk batch may hold the device, and so delay a query that comes meanwhile"
    )
    max_texts: int = Field(1_024, gt=0, description="Most texts of one request")
    max_queue_tokens: int = Field(
        1_048_576, gt=0, description="Most tokens that may wait in one lane; beyond it: RESOURCE_EXHAUSTED"
    )
    cache_memory_bytes: int = Field(67_108_864, ge=0, description="Largest size of the vectors kept in memory; 0: none")
    cache_dir: str = Field("", description="Folder in which vectors are kept on disk; empty: none")
    cache_disk_bytes: int = Field(1_073_741_824, ge=16_777_216, description="Largest size of the file in cache_dir")
    max_message_bytes: int = Field(33_554_432, gt=0, description="Largest gRPC message, both ways")
    max_inflight_bytes: int = Field(
        268_435_456,
        gt=0,
        description="Largest sum of the requests in work, over gRPC and HTTP; beyond it: RESOURCE_EXHAUSTED or 429",
    )
    reflection: bool = Field(True, description="Whether gRPC reflection is served")
    drain_timeout_s: float = Field(
        30.0, ge=0, description="How long the server waits for requests in work after SIGTERM"
    )


class TracingSettings(_Section):
    """The receiver of spans."""

    otlp_endpoint: str = Field(
        "", description="OTLP receiver over gRPC, such as http://127.0.0.1:4317 (extra [tracing]); empty: no spans"
    )


class ModelSettings(_Section):
    """The folder of model versions."""

    dir: Path = Field(
        Path(platformdirs.user_data_dir(APP)) / "models", description="Model versions pinned by `sidecar model add`"
    )


class NodeSettings(_Section):
    """The local OpenSearch node for development and tests."""

    dir: Path = Field(
        # Under root, the node runs as another user, who may not enter root's home.
        Path("/var/tmp" if os.geteuid() == 0 else platformdirs.user_cache_dir()) / APP / "node",  # noqa: S108
        description="Where local nodes are assembled: outside the checkout, and readable by the node's own user",
    )
    http_port: int = Field(9200, ge=0, le=65_535, description="Preferred port of the local node; 0: any free one")
    heap: str = Field("512m", pattern=r"^[0-9]+[mg]$", description="Java heap of the local node")
    java_options: str = Field(
        "-XX:TieredStopAtLevel=1",
        description="More options for its Java, separated by spaces; the default halves the work of a start, but is "
        "slower under a long load, so set it empty to measure",
    )


class Settings(BaseSettings):
    """Every setting, by section."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_nested_delimiter="_", env_nested_max_split=1, extra="forbid", frozen=True
    )

    cluster: ClusterSettings = ClusterSettings()
    bridge: BridgeSettings = BridgeSettings()
    embedder: EmbedderSettings = EmbedderSettings()
    models: ModelSettings = ModelSettings()
    tracing: TracingSettings = TracingSettings()
    node: NodeSettings = NodeSettings()
    log_level: str = Field(
        "info", pattern="^(debug|info|warning|error)$", description="Least severe lines that are logged"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read only the values of `load_configuration`, which merges the sources and knows the source of each value."""
        return (init_settings,)


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting with its value and the source of the value."""

    name: str  # "bridge.listen"
    value: object  # secrets hidden
    source: str  # "flag", "environment SIDECAR_…", "file …" or "default"
    description: str

    @property
    def shown(self) -> str:
        """The value as people read it. Nothing if it is not set."""
        return ", ".join(self.value) if isinstance(self.value, tuple) else "" if self.value is None else str(self.value)


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings in force and the source of each."""

    settings: Settings
    sources: Mapping[str, str]

    def explain(self) -> Iterator[Setting]:
        """Every setting, in the order of declaration."""
        for name, description, value in _leaves(self.settings):
            yield Setting(name, value, self.sources.get(name, "default"), description)


def load_configuration(flags: Mapping[str, object] | None = None, *, file: Path | None = None) -> Configuration:
    """Merge flags, environment, file and defaults. Flags are by name ("bridge.listen"), and None is not given.

    Raises ConfigurationError naming the setting, its source and the problem.
    """
    if file is None and CONFIG_VARIABLE in os.environ:
        file = Path(os.environ[CONFIG_VARIABLE])
    layers = [
        ("flag", {name: value for name, value in (flags or {}).items() if value is not None}),
        ("environment", _flat(EnvSettingsSource(Settings)())),
        (f"file {file or DEFAULT_FILE}", _flat(_read(file))),
    ]
    merged: dict[str, object] = {}
    sources: dict[str, str] = {}
    for source, values in layers:
        for name, value in values.items():
            if name not in merged:
                merged[name] = value
                sources[name] = f"{source} {variable(name)}" if source == "environment" else source
    try:
        settings = Settings.model_validate(_nested(merged))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        origin = next((s for n, s in sources.items() if name == n or name.startswith(f"{n}.")), "default")
        problem = "is not a setting" if first["type"] == "extra_forbidden" else first["msg"]
        raise ConfigurationError(f"{name} ({origin}): {problem}") from error
    return Configuration(settings, sources)


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return ENV_PREFIX + name.replace(".", "_").upper()


def _read(named: Path | None) -> dict[str, Any]:
    path = named or DEFAULT_FILE
    if named is not None and not path.is_file():
        raise ConfigurationError(f"configuration file {path}: there is no such file")
    try:
        return tomllib.loads(unmarked(path.read_bytes()).decode("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"configuration file {path}: {error}") from error


def _flat(nested: Mapping[str, Any]) -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in nested.items():
        if isinstance(value, dict):
            flat.update({f"{key}.{name}": inner for name, inner in value.items()})
        else:
            flat[key] = value
    return flat


def _nested(flat: Mapping[str, object]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        section, dot, key = name.partition(".")
        if dot:
            nested.setdefault(section, {})[key] = value
        else:
            nested[section] = value
    return nested


def _leaves(settings: BaseModel, prefix: str = "") -> Iterator[tuple[str, str, object]]:
    for name, info in type(settings).model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, info.description or "", value


def describe(name: str) -> str:
    """The description of a setting and its default, for the help of its flag."""
    description, default = next(leaf[1:] for leaf in _leaves(Settings()) if leaf[0] == name)
    shown = "depends on the machine" if isinstance(default, Path) else default
    shown = ", ".join(shown) if isinstance(shown, tuple) else shown
    return f"{description} [default: {shown}]"
