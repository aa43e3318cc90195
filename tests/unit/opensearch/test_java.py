from pathlib import Path

import pytest

from sidecar.errors import ConfigurationError
from sidecar.opensearch.java import Java, choose, find_java, parse_major


@pytest.mark.parametrize(
    ("answer", "major"),
    [
        pytest.param(
            'openjdk version "17.0.15" 2025-04-15\nOpenJDK Runtime Environment (build 17)', 17, id="openjdk 17"
        ),
        pytest.param('openjdk version "25" 2025-09-16 LTS', 25, id="first release of a major"),
        pytest.param('java version "1.8.0_392"', 1, id="Java 8 counts from 1"),
        pytest.param('Picked up JAVA_TOOL_OPTIONS: -Da=b\nopenjdk version "21.0.1"', 21, id="a notice before it"),
        pytest.param("sh: not found", None, id="no Java at all"),
    ],
)
def test_major_version_is_read_from_what_java_prints(answer: str, major: int | None) -> None:
    assert parse_major(answer) == major


def test_first_fit_java_is_chosen() -> None:
    found = [Java(Path("/a/bin/java"), 25), Java(Path("/b/bin/java"), 21), Java(Path("/c/bin/java"), 17)]
    assert choose(found).home == Path("/b")


@pytest.mark.parametrize(
    ("found", "named"),
    [
        pytest.param([], "found: none;", id="none at all"),
        pytest.param([Java(Path("/a/bin/java"), 25)], "found: 25 at /a/bin/java;", id="too new"),
        pytest.param([Java(Path("/a/bin/java"), 11)], "found: 11 at /a/bin/java;", id="too old"),
    ],
)
def test_unfit_java_is_refused_in_one_sentence_that_names_it(found: list[Java], named: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        choose(found)
    assert "needs Java 17 or 21" in str(refusal.value)
    assert named in str(refusal.value)


def test_unfit_java_home_does_not_hide_a_fit_java_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, major in (("home", 25), ("path", 17)):
        executable = tmp_path / folder / "bin" / "java"
        executable.parent.mkdir(parents=True)
        executable.write_text(f"#!/bin/sh\necho 'openjdk version \"{major}.0.1\"' >&2\n")
        executable.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path / "path" / "bin"), prepend=":")
    assert find_java().home == tmp_path / "path"
