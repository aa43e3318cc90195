"""Flags are the strongest source of a setting, and one that is not given is none."""

from pathlib import Path

import pytest

from sidecar.cli.options import configure, setting
from sidecar.config import describe


def test_a_flag_wins_over_environment_and_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[bridge]\nembedder = "file:1"\nupstream = "http://file"\n')
    monkeypatch.setenv("SIDECAR_BRIDGE_EMBEDDER", "environment:1")

    bridge = configure(file, bridge__embedder="flag:1", bridge__upstream=None).settings.bridge
    assert (bridge.embedder, bridge.upstream) == (("flag:1",), "http://file")
    assert configure(file, bridge__embedder=None).settings.bridge.embedder == ("environment:1",)


def test_the_help_of_a_flag_is_that_of_its_setting() -> None:
    assert setting("bridge.listen", "--listen").help == describe("bridge.listen")
