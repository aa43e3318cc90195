"""docker-compose.yml and Dockerfile: what can be known of them without a Docker engine."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from sidecar.config import CONFIG_VARIABLE, load_configuration, variable
from tests.support.folders import ROOT

OURS = ("bridge", "embedder")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return YAML(typ="safe").load(ROOT / "docker-compose.yml")


def test_compose_file_is_valid() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    checked = subprocess.run([*command, ROOT / "docker-compose.yml"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_opensearch_is_one_exact_release(compose: dict[str, Any]) -> None:
    assert re.fullmatch(r"opensearchproject/opensearch:3\.\d+\.\d+", compose["services"]["opensearch"]["image"])


def test_every_service_is_watched_and_restarted_and_is_not_root(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]["test"][0] == "CMD"
        assert not service["user"].startswith("0")


@pytest.mark.parametrize("name", OURS)
def test_our_containers_can_write_only_to_memory_and_named_volumes(compose: dict[str, Any], name: str) -> None:
    service = compose["services"][name]
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]
    assert service["cap_drop"] == ["ALL"]
    assert {volume.split(":")[0] for volume in service.get("volumes", ())} <= compose["volumes"].keys()


def test_ports_are_published_on_loopback_only(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service["ports"]]
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("name", OURS)
def test_environment_is_that_of_our_settings(
    compose: dict[str, Any], name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(CONFIG_VARIABLE, raising=False)
    environment: dict[str, str] = compose["services"][name]["environment"]
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    in_force = {variable(setting.name): setting.source for setting in load_configuration().explain()}
    for key in environment:
        assert in_force[key] == f"environment {key}"


@pytest.mark.parametrize("name", OURS)
def test_images_are_targets_of_the_dockerfile(compose: dict[str, Any], name: str) -> None:
    targets = re.findall(r"^FROM \S+ AS (\w+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert compose["services"][name]["build"]["target"] in targets


def test_image_of_the_bridge_installs_no_extra() -> None:
    stage = (ROOT / "Dockerfile").read_text().split(" AS bridge\n")[1].split("\nFROM ")[0]
    assert "/wheels/*.whl\n" in stage
    assert "[" not in stage.split("USER")[0]


def test_what_the_dockerfile_copies_is_in_the_build_context() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copies = re.findall(r"^COPY (.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert kept == {source for copy in copies for source in copy.split()}
