"""What `projen types` complains of, tried on a package of a few lines."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scripts import types
from scripts.project import uv

LIBRARY = (
    'class Agent:\n    """An agent."""\n\n    def __init__(self, name: str) -> None:\n        self.name: str = name\n'
)
APP = 'from sample import Agent\n\nprint(Agent("a").name.upper())\n'
WRONG = "Agent(1)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]\n"
CHECKS: dict[str, Callable[[Path, Path], str]] = {
    "mypy": lambda folder, python: types.check_with_mypy(folder, python, ["app"]),
    "pyright": lambda folder, python: types.check_with_pyright(folder, python, ["app"]),
    "verifytypes": lambda folder, python: types.check_completeness(folder, python, "sample"),
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an environment with a typed package, and an app beside it."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([uv(), "venv", "-q", "-p", sys.executable, folder / "env"], check=True, cwd="/")
    (folder / "app").mkdir()
    return folder


@pytest.fixture
def sample(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the installed package as it should be."""
    (site,) = (installed / "env").glob("lib/python*/site-packages")
    package = site / "sample"
    package.mkdir()
    (package / "py.typed").touch()
    (package / "__init__.py").write_text(LIBRARY, encoding="utf-8")
    (installed / "app" / "main.py").write_text(APP + WRONG, encoding="utf-8")
    monkeypatch.setattr(types, "CACHE", installed / "cache")
    yield package
    shutil.rmtree(package)


def complaints(installed: Path, *checks: str) -> dict[str, str]:
    """Run every check, or these: each takes a second."""
    found = {}
    for name in checks or CHECKS:
        try:
            CHECKS[name](installed, installed / "env" / "bin" / "python")
        except types.TypesError as error:
            found[name] = str(error)
    return found


def test_a_typed_package_and_a_right_app_pass(installed: Path, sample: Path) -> None:
    """With a wrong use in it that is marked as one."""
    assert sample.is_dir()
    assert complaints(installed) == {}


def test_a_wheel_without_the_marker_of_types_is_refused(installed: Path, sample: Path) -> None:
    """By mypy and by pyright's look at the package."""
    (sample / "py.typed").unlink()
    found = complaints(installed, "mypy", "verifytypes")
    assert "missing library stubs or py.typed marker" in found["mypy"]
    assert "py.typed" in found["verifytypes"]


def test_a_public_attribute_without_a_type_is_named(installed: Path, sample: Path) -> None:
    """An app may do without it and notice nothing."""
    (sample / "__init__.py").write_text(
        LIBRARY
        + "        self.settings = dict(vars(self))\n        self.other = open_it()\n\n\ndef open_it():\n    pass\n",
        encoding="utf-8",
    )
    found = complaints(installed, "verifytypes")
    assert "sample.open_it" in found["verifytypes"]
    assert "sample.Agent.settings" in found["verifytypes"]


def test_an_app_with_an_error_is_refused_by_both(installed: Path, sample: Path) -> None:
    """And what is marked as wrong must be wrong."""
    assert sample.is_dir()
    apps = {"wrong": APP + "Agent(1)\n", "vain": APP + WRONG.replace("1", '"b"'), "misspelt": "import sampel\n"}
    apps["mypys_mark"] = APP + WRONG.partition(" # pyright")[0] + "\n"
    for name, text in apps.items():
        (installed / "app" / f"{name}.py").write_text(text, encoding="utf-8")
    found = complaints(installed)
    assert set(found) == {"mypy", "pyright"}
    said = {"mypy": ("[arg-type]", "[unused-ignore]", "[import-not-found]")}
    said["pyright"] = ("reportArgumentType", "Unnecessary", "reportMissingImports")
    for checker, errors in said.items():
        for name, error in zip(apps, errors, strict=False):
            assert re.search(rf"{name}\.py:.*{re.escape(error)}", found[checker], re.DOTALL), found[checker]
    assert "mypys_mark.py:4" in found["pyright"], "what is marked for mypy alone is an error for pyright"
    assert "mypys_mark" not in found["mypy"]


def test_another_copy_of_the_package_is_not_taken_for_the_installed_one(installed: Path) -> None:
    """As the checkout's would be, whose types say nothing of the wheel."""
    with pytest.raises(types.TypesError, match="not what is installed"):
        types.check_completeness(installed, installed / "env" / "bin" / "python", "ak_constructs")
