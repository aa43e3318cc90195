"""Case 28: what is installed is pinned, and runs with few rights. What can be told without a network."""

import re

import aiohttp
import pytest

from tests.support.folders import ROOT


@pytest.mark.parametrize("name", ["constraints.txt", "bootstrap.txt"])
def test_case_28_every_package_is_pinned_by_version_and_hash(name: str) -> None:
    text = re.sub(r"(?m)^\s*#.*\n", "", (ROOT / name).read_text())
    packages = [entry for entry in text.replace("\\\n", " ").splitlines() if entry.strip()]

    assert packages
    for entry in packages:
        assert re.match(r"[A-Za-z0-9._-]+(\[[a-z,-]+\])?==\S+ ", entry), entry
        assert "--hash=sha256:" in entry, entry


def test_case_28_the_parser_of_http_is_the_one_in_c() -> None:
    assert aiohttp.http_parser.HttpRequestParser is not aiohttp.http_parser.HttpRequestParserPy


def test_case_28_no_image_runs_as_root() -> None:
    stages = re.split(r"(?m)^FROM ", (ROOT / "Dockerfile").read_text())[1:]
    images = [stage for stage in stages if "ENTRYPOINT" in stage]

    assert len(images) == 2
    for stage in images:
        (user,) = re.findall(r"(?m)^USER (\d+):\d+$", stage)
        assert int(user) > 0


def test_case_28_our_containers_cannot_write_to_their_file_system() -> None:
    services = re.split(r"(?m)^  (?=[a-z-]+:$)", (ROOT / "docker-compose.yml").read_text())
    ours = [one for one in services if "sidecar" in one and "    image: " in one and not one.startswith("opensearch:")]

    assert len(ours) == 2
    assert all("    read_only: true\n" in one for one in ours)
