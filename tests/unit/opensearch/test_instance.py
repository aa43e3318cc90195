import json
from pathlib import Path

import pytest

from sidecar.config import NodeSettings
from sidecar.opensearch.instance import Instance, NodeFailed, Security, failure_reason


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        pytest.param(
            "[2026-11-23T08:25:58,528][ERROR][o.o.b.Handler] uncaught exception in thread [main]\n"
            "org.opensearch.bootstrap.StartupException: java.lang.IllegalStateException: Unable to access 'path.home'\n"
            "\tat org.opensearch.bootstrap.OpenSearch.init(OpenSearch.java:185)\n"
            "Caused by: java.nio.file.AccessDeniedException: /home/bin\n",
            "java.lang.IllegalStateException: Unable to access 'path.home'",
            id="an exception at start",
        ),
        pytest.param(
            "Error occurred during initialization of VM\nInitial heap size set to a larger value than the maximum\n",
            "Initial heap size set to a larger value than the maximum",
            id="Java itself refuses",
        ),
        pytest.param(
            "setpriv: setresuid failed: Operation not permitted\n",
            "setpriv: setresuid failed: Operation not permitted",
            id="before Java",
        ),
        pytest.param("", "it ended without a word", id="an empty log"),
    ],
)
def test_reason_is_the_telling_line_of_the_log(log: str, reason: str) -> None:
    assert failure_reason(log) == reason


def test_node_failed_names_the_reason_and_the_log() -> None:
    assert str(NodeFailed("no memory", "/n/node.log")) == (
        "the local OpenSearch node did not start: no memory (its log: /n/node.log)"
    )


def test_configuration_listens_on_this_machine_only_and_ignores_a_full_disk(tmp_path: Path) -> None:
    settings = json.loads(Instance(tmp_path).configuration(9200)["opensearch.yml"])
    assert settings["http.port"] == 9200
    assert settings["network.host"] == "127.0.0.1"
    assert settings["discovery.type"] == "single-node"
    assert settings["node.attr.sidecar_no_native_knn"] == "true"
    assert settings["cluster.routing.allocation.disk.threshold_enabled"] is False


def test_a_secured_node_names_its_certificates_on_both_layers_and_no_others(tmp_path: Path) -> None:
    security = Security(tmp_path / "a.pem", tmp_path / "c.pem", tmp_path / "c.key")
    settings = json.loads(Instance(tmp_path, security).configuration(0)["opensearch.yml"])
    plain = json.loads(Instance(tmp_path).configuration(0)["opensearch.yml"])

    files = {value for name, value in settings.items() if name.endswith("_filepath")}
    assert files == security.files.keys()
    assert sum(name.endswith("_filepath") for name in settings) == 2 * len(files)
    assert settings["plugins.security.ssl.http.enabled"] is True
    assert not any(name.startswith("plugins.security") for name in plain)


def test_arguments_carry_the_heap_the_options_and_the_two_folders(tmp_path: Path) -> None:
    settings = NodeSettings(heap="300m", java_options="-XX:+UseSerialGC  -Xss1m")
    arguments = Instance(tmp_path / "i").arguments(tmp_path / "home", settings)
    assert {
        "-Xms300m",
        "-Xmx300m",
        "-XX:+UseSerialGC",
        "-Xss1m",
        f"-Dopensearch.path.home={tmp_path}/home",
        f"-Dopensearch.path.conf={tmp_path}/i/conf",
    } <= set(arguments)
    assert arguments[-3:] == ("-cp", f"{tmp_path}/home/lib/*", "org.opensearch.bootstrap.OpenSearch")


def test_java_compiles_quickly_unless_it_is_told_otherwise(tmp_path: Path) -> None:
    def options(settings: NodeSettings) -> set[str]:
        return {one for one in Instance(tmp_path).arguments(tmp_path, settings) if one.startswith("-XX:Tiered")}

    assert options(NodeSettings()) == {"-XX:TieredStopAtLevel=1"}
    assert options(NodeSettings(java_options="")) == set()


def test_address_is_known_once_the_node_has_written_it(tmp_path: Path) -> None:
    instance = Instance(tmp_path)
    assert instance.bound_address() is None
    instance.ports_file.parent.mkdir()
    instance.ports_file.write_text("")
    assert instance.bound_address() is None
    instance.ports_file.write_text("127.0.0.1:41285\n")
    assert instance.bound_address() == "127.0.0.1:41285"
