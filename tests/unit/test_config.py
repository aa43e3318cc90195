"""Settings: one declaration, four sources, and an answer to where each value came from."""

from pathlib import Path

import pytest

from sidecar.config import describe, load_configuration, split_address, variable
from sidecar.errors import ConfigurationError


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def value_and_source(name: str, **flags: object) -> tuple[object, str]:
    settings = load_configuration({k.replace("__", "."): v for k, v in flags.items()}).explain()
    return next((s.value, s.source) for s in settings if s.name == name)


def test_a_default_holds_where_nobody_says_otherwise() -> None:
    assert value_and_source("bridge.listen") == ("127.0.0.1:9201", "default")


def test_flag_beats_variable_beats_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("sidecar.toml").write_text(
        'log_level = "debug"\n[bridge]\nlisten = "127.0.0.1:1"\nadmin_listen = "127.0.0.1:2"\n'
    )
    monkeypatch.setenv("SIDECAR_BRIDGE_LISTEN", "127.0.0.1:3")

    assert value_and_source("log_level") == ("debug", "file sidecar.toml")
    assert value_and_source("bridge.admin_listen") == ("127.0.0.1:2", "file sidecar.toml")
    assert value_and_source("bridge.listen") == ("127.0.0.1:3", "environment SIDECAR_BRIDGE_LISTEN")
    assert value_and_source("bridge.listen", bridge__listen="127.0.0.1:4") == ("127.0.0.1:4", "flag")
    assert value_and_source("bridge.listen", bridge__listen=None)[0] == "127.0.0.1:3"


def test_the_file_is_named_by_variable_or_flag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = tmp_path / "named.toml"
    named.write_text('[node]\nheap = "1g"\n')
    monkeypatch.setenv("SIDECAR_CONFIG", str(named))

    assert value_and_source("node.heap") == ("1g", f"file {named}")


def test_lists_in_variables_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDECAR_EMBEDDER_MODEL", "a@1,b@2")

    assert load_configuration().settings.embedder.model == ("a@1", "b@2")


def test_the_embedder_may_have_replicas() -> None:
    assert load_configuration().settings.bridge.embedder == ("127.0.0.1:50051",)
    several = load_configuration({"bridge.embedder": "a:1,dns:///b:2"}).settings
    assert several.bridge.embedder == ("a:1", "dns:///b:2")
    with pytest.raises(ConfigurationError, match=r"bridge.embedder.1 \(flag\): .*must be HOST:PORT, not \[b\]"):
        load_configuration({"bridge.embedder": "a:1,b"})


def test_secrets_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDECAR_CLUSTER_PASSWORD", "hush")

    assert "hush" not in str(value_and_source("cluster.password")[0])
    assert load_configuration().settings.cluster.password.get_secret_value() == "hush"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        pytest.param("SIDECAR_BRIDGE_LISTN", "x", "bridge.listn (environment SIDECAR_BRIDGE_LISTN): is not a setting",
                     id="a typing error"),
        pytest.param("SIDECAR_BRIDGE_LISTEN", "here",
                     "bridge.listen (environment SIDECAR_BRIDGE_LISTEN): Value error, must be HOST:PORT, not [here]",
                     id="no address"),
        pytest.param("SIDECAR_BRIDGE_UPSTREAM", "ftp://x",
                     "bridge.upstream (environment SIDECAR_BRIDGE_UPSTREAM): Value error, must be an http:// or https:// "
                     "URL, not [ftp://x]", id="no URL"),
        pytest.param("SIDECAR_BRIDGE_MAX_BODY_BYTES", "0",
                     "bridge.max_body_bytes (environment SIDECAR_BRIDGE_MAX_BODY_BYTES): Input should be greater than 0",
                     id="out of range"),
    ],
)  # fmt: skip
def test_an_error_names_the_setting_its_source_and_the_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ConfigurationError) as caught:
        load_configuration()

    assert str(caught.value) == message


@pytest.mark.parametrize("text", [pytest.param(None, id="absent"), pytest.param("[", id="not TOML")])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "f.toml"
    if text is not None:
        file.write_text(text)

    with pytest.raises(ConfigurationError, match=r"configuration file .*f\.toml"):
        load_configuration(file=file)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        pytest.param("127.0.0.1:80", ("127.0.0.1", 80), id="IPv4"),
        pytest.param("[::1]:80", ("::1", 80), id="IPv6"),
        pytest.param("host.example:0", ("host.example", 0), id="name"),
    ],
)
def test_split_address(address: str, expected: tuple[str, int]) -> None:
    assert split_address(address) == expected


@pytest.mark.parametrize("address", ["", "host", ":80", "host:", "host:x", "host:70000"])
def test_split_address_refuses(address: str) -> None:
    with pytest.raises(ValueError, match="must be HOST:PORT"):
        split_address(address)


def test_help_and_variable_come_from_the_declaration() -> None:
    assert describe("bridge.listen") == "Where clients connect [default: 127.0.0.1:9201]"
    assert variable("bridge.listen") == "SIDECAR_BRIDGE_LISTEN"


def test_the_mark_of_windows_editors_is_skipped(tmp_path: Path) -> None:
    file = tmp_path / "f.toml"
    file.write_bytes(b'\xef\xbb\xbflog_level = "debug"\r\n')
    assert load_configuration(file=file).settings.log_level == "debug"
