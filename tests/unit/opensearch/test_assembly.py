import xml.etree.ElementTree as ET
from importlib import resources
from pathlib import Path

import pytest

from sidecar.errors import ConfigurationError
from sidecar.opensearch.assembly import (
    KNN,
    MODULES,
    OPENSEARCH_VERSION,
    PLUGINS,
    SECURITY,
    assemble,
    descriptor,
    downloaded_file,
    failure,
    home_name,
    home_of,
)

_NAMESPACE = {"m": "http://maven.apache.org/POM/4.0.0"}


def _pom() -> ET.Element:
    return ET.fromstring(resources.files("sidecar.opensearch").joinpath("node-pom.xml").read_text())


def test_pom_and_descriptors_name_the_same_modules() -> None:
    folders = [element.text or "" for element in _pom().iterfind(".//m:artifactItem/m:outputDirectory", _NAMESPACE)]
    modules = {folder.rpartition("/")[2] for folder in folders if "/modules/" in folder}
    assert modules == {module.name for module in MODULES}


def test_pom_has_the_version_and_a_profile_for_each_plugin() -> None:
    assert _pom().findtext("m:properties/m:opensearch.version", namespaces=_NAMESPACE) == OPENSEARCH_VERSION
    assert {element.text for element in _pom().iterfind("m:profiles/m:profile/m:id", _NAMESPACE)} == PLUGINS | {
        SECURITY
    }


def test_pom_names_no_repository() -> None:
    assert not list(_pom().iter("{http://maven.apache.org/POM/4.0.0}url"))


def test_descriptor_has_what_the_node_asks_for() -> None:
    painless_user = next(module for module in MODULES if module.name == "ingest-common")
    assert descriptor(painless_user).splitlines() == [
        "description=OpenSearch module ingest-common",
        "version=2.19.1",
        "name=ingest-common",
        "classname=org.opensearch.ingest.common.IngestCommonPlugin",
        "java.version=11",
        "opensearch.version=2.19.1",
        "extended.plugins=lang-painless",
        "has.native.controller=false",
    ]


@pytest.mark.parametrize(
    ("pom", "plugins"),
    [
        pytest.param(b"other", {KNN}, id="another pom"),
        pytest.param(b"pom", set(), id="other plugins"),
    ],
)
def test_home_of_other_contents_has_another_name(pom: bytes, plugins: set[str]) -> None:
    name = home_name(b"pom", {KNN})
    assert name.startswith("opensearch-2.19.1-")
    assert home_name(pom, plugins) != name


@pytest.mark.parametrize(
    ("line", "name"),
    [
        pytest.param(
            "[INFO] Downloaded from central: https://repository/a/knn-2.19.1.0.zip (5.9 MB at 10 MB/s)\n",
            "knn-2.19.1.0.zip",
            id="a zip",
        ),
        pytest.param(
            "[INFO] Downloaded from central: https://repository/a/a-1.pom (983 B at 3 kB/s)", None, id="a pom"
        ),
        pytest.param("[INFO] Downloading from central: https://repository/a/a-1.jar", None, id="only begun"),
    ],
)
def test_downloaded_file_is_read_from_the_log(line: str, name: str | None) -> None:
    assert downloaded_file(line) == name


def test_failure_is_the_first_error_without_the_advice() -> None:
    log = ["[INFO] Scanning", "[ERROR] Could not transfer a.jar: Checksum validation failed -> [Help 1]", "[ERROR] "]
    assert failure(log) == "Could not transfer a.jar: Checksum validation failed"


def test_failure_without_a_reason_says_so() -> None:
    assert failure(["killed"]) == "it gave no reason"


def test_home_that_is_there_is_returned_without_maven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    home = home_of(tmp_path)
    home.mkdir()
    assert assemble(tmp_path, report=pytest.fail) == home


def test_missing_maven_is_one_sentence_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigurationError, match="assembled with Maven, and there is no mvn on the PATH"):
        assemble(tmp_path / "node", report=lambda _step: None)
    assert [path.name for path in (tmp_path / "node").iterdir()] == ["assembly.lock"]


def test_maven_that_fails_is_quoted_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mvn = tmp_path / "bin" / "mvn"
    mvn.parent.mkdir()
    mvn.write_text("#!/bin/sh\necho '[ERROR] no network -> [Help 1]'\nexit 1\n")
    mvn.chmod(0o755)
    monkeypatch.setenv("PATH", str(mvn.parent), prepend=":")
    with pytest.raises(ConfigurationError, match=r"Maven could not assemble the local OpenSearch node: no network$"):
        assemble(tmp_path / "node", report=lambda _step: None)
    assert [path.name for path in (tmp_path / "node").iterdir()] == ["assembly.lock"]


def test_every_file_is_verified_by_maven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mvn = tmp_path / "bin" / "mvn"
    mvn.parent.mkdir()
    mvn.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\nexit 1\n')
    mvn.chmod(0o755)
    monkeypatch.setenv("PATH", str(mvn.parent), prepend=":")
    with pytest.raises(ConfigurationError):
        assemble(tmp_path / "node", report=lambda _step: None)
    arguments = (tmp_path / "arguments").read_text().split()
    assert "--strict-checksums" in arguments
    assert f"-P{KNN}" in arguments


def test_a_zip_that_is_not_the_pinned_one_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mvn = tmp_path / "bin" / "mvn"
    mvn.parent.mkdir()
    mvn.write_text(
        "#!/bin/sh\n"
        'for a in "$@"; do case $a in -Dhome=*) mkdir -p "${a#-Dhome=}/unverified"; '
        'echo other > "${a#-Dhome=}/unverified/neural-search-1.zip";; esac; done\n'
    )
    mvn.chmod(0o755)
    monkeypatch.setenv("PATH", str(mvn.parent), prepend=":")
    with pytest.raises(ConfigurationError, match=r"^neural-search-1.zip has the SHA-256 \w{64}, but b17ca1d7"):
        assemble(tmp_path / "node", report=lambda _step: None)
    assert [path.name for path in (tmp_path / "node").iterdir()] == ["assembly.lock"]
