"""The same folder gives the same asset on Linux, macOS and Windows: what differs there is simulated here."""

import ast
import os
import re
import shutil
import unicodedata
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_lambda as lambda_

from ak_constructs import AgentFunction, _assets, _bundling, _layer
from ak_constructs._dependencies import Platform, find_dependencies
from ak_constructs._lambda_assets import lambda_assets

ROOT = Path(__file__).parents[1]
SOURCES = [path for path in (ROOT / "src" / "ak_constructs").rglob("*.py") if "local" not in path.parts]
ANYWHERE = Platform(machine="aarch64", python="3.13")


def synthesized(entry: Path, out: Path) -> Path:
    """Synthesize an agent and give the folder of its asset."""
    app = cdk.App(outdir=str(out), analytics_reporting=False)
    AgentFunction(cdk.Stack(app, "Stack"), "Agent", entry=entry)
    app.synth()
    (asset,) = out.glob("asset.*")
    return asset


def own_asset(out: Path) -> Path:
    """Synthesize a function of ours and give the folder of its asset."""
    app = cdk.App(outdir=str(out), analytics_reporting=False)
    runtime = lambda_.Runtime.PYTHON_3_13
    lambda_.Function(cdk.Stack(app, "Stack"), "F", code=_assets.own_code(), handler="x.y", runtime=runtime)
    app.synth()
    (asset,) = out.glob("asset.*")
    return asset


@pytest.fixture
def windows_checkout(tmp_path: Path) -> Path:
    """Copy our Lambda code as git with autocrlf has it."""
    copy = tmp_path / "checkout"
    shutil.copytree(lambda_assets(), copy, ignore=shutil.ignore_patterns("__pycache__"))
    for path in copy.rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    return copy


def test_our_code_with_windows_line_ends_has_the_same_hashes(
    entry: Path, tmp_path: Path, windows_checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runner beside an agent, our own functions, and the pins of a layer."""
    pins = "redis_layer/requirements.txt"
    before = synthesized(entry, tmp_path / "a").name, own_asset(tmp_path / "b").name
    layer = _layer._hash(lambda_assets() / pins, ANYWHERE)
    for module in (_bundling, _assets):
        monkeypatch.setattr(module, "lambda_assets", lambda: windows_checkout)
    assert (windows_checkout / pins).read_bytes() != (lambda_assets() / pins).read_bytes()
    assert (synthesized(entry, tmp_path / "c").name, own_asset(tmp_path / "d").name) == before
    assert _layer._hash(windows_checkout / pins, ANYWHERE) == layer


class WindowsFolder:
    """A folder as Windows lists it: backslashes in its paths, and an order that sees no capitals."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = path.name
        self.suffix = path.suffix

    def __truediv__(self, name: str) -> "WindowsFolder":
        return WindowsFolder(self._path / name)

    def __lt__(self, other: "WindowsFolder") -> bool:
        return PureWindowsPath(self._path) < PureWindowsPath(other._path)

    def __str__(self) -> str:
        return str(PureWindowsPath(self._path))

    def __fspath__(self) -> str:
        return str(self)

    def iterdir(self) -> Iterator["WindowsFolder"]:
        """List it backwards."""
        return iter([WindowsFolder(path) for path in sorted(self._path.iterdir(), reverse=True)])

    def __getattr__(self, name: str) -> object:
        return getattr(self._path, name)


def test_names_in_a_package_have_forward_slashes_wherever_it_is_made(entry: Path) -> None:
    """And the order in which a folder is listed changes no hash."""
    for name in ("b/Z.txt", "B/a.txt", "b/c/d.txt", "Agent.md"):
        (entry / name).parent.mkdir(parents=True, exist_ok=True)
        (entry / name).write_text(name, encoding="utf-8")
    here = dict(_bundling._files(entry))
    there = dict(_bundling._files(WindowsFolder(entry)))  # type: ignore[arg-type]
    assert list(here) != list(there)
    assert set(here) == set(there) == {"agent.py", "b/Z.txt", "B/a.txt", "b/c/d.txt", "Agent.md"}
    paths = {name: entry / name for name in there}
    assert _bundling._hash(here, ANYWHERE) == _bundling._hash(paths, ANYWHERE)


def test_an_accent_is_one_name_on_a_mac_too(entry: Path, tmp_path: Path) -> None:
    """Which may spell it as a letter and an accent."""
    names = [unicodedata.normalize(form, "café.txt") for form in ("NFC", "NFD")]
    assets = []
    for number, name in enumerate(names):
        folder = tmp_path / f"agent {number} é"  # a space and an accent on the way do no harm
        shutil.copytree(entry, folder)
        (folder / name).write_text("x", encoding="utf-8")
        assets.append(synthesized(folder, tmp_path / str(number)))
    assert assets[0].name == assets[1].name
    assert all((asset / names[0]).is_file() for asset in assets)


def test_two_names_that_differ_in_capitals_are_two_files(entry: Path) -> None:
    """Where a machine has room for both."""
    (entry / "Notes.txt").write_text("1", encoding="utf-8")
    one = _bundling._hash(dict(_bundling._files(entry)), None)
    (entry / "notes.txt").write_text("1", encoding="utf-8")
    assert _bundling._hash(dict(_bundling._files(entry)), None) != one


@pytest.mark.parametrize(
    ("settings", "file"),
    [({"agent": "Agent:respond"}, "Agent.py"), ({"handler": "Sub/agent.respond"}, "Sub/agent.py")],
    ids=["agent", "handler"],
)
def test_fails_when_a_module_is_spelled_with_other_capitals(
    stack: cdk.Stack, entry: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], file: str
) -> None:
    """On a file system that does not mind, because Lambda's does."""
    shutil.copytree(entry, entry / "sub")
    is_file = Path.is_file

    def whatever_the_capitals(path: Path) -> bool:
        below = str(path).removeprefix(str(entry))
        return is_file(entry / below.lstrip("/").lower()) if below != str(path) else is_file(path)

    monkeypatch.setattr(Path, "is_file", whatever_the_capitals)
    iterdir = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda path: iterdir(Path(str(path).replace("/Sub", "/sub"))))
    with pytest.raises(ValueError, match=rf"must name a module in .* but there is no {re.escape(file)}"):
        AgentFunction(stack, "Agent", entry=entry, **settings)


@pytest.mark.parametrize("umask", [0o000, 0o027, 0o077])
def test_lambda_may_read_what_was_packaged_under_any_umask(entry: Path, tmp_path: Path, umask: int) -> None:
    """And a program stays one."""
    (entry / "data").mkdir()
    for name in ("data/notes.txt", "tool"):
        (entry / name).write_text("x", encoding="utf-8")
    (entry / "tool").chmod(0o700)
    (entry / "data/notes.txt").chmod(0o600)
    before = os.umask(umask)
    try:
        asset = synthesized(entry, tmp_path / "out")
    finally:
        os.umask(before)
    modes = {path.relative_to(asset).as_posix(): path.stat().st_mode & 0o777 for path in asset.rglob("*")}
    assert (modes["tool"], modes["data"], modes["data/notes.txt"], modes["agent.py"]) == (0o755, 0o755, 0o644, 0o644)
    assert set(modes.values()) == {0o755, 0o644}


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_lambda_may_read_our_own_code_that_was_installed_under_any_umask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, umask: int
) -> None:
    """Pip leaves modes as the umask has them. The hash is the same, and what is installed stays as it is."""
    installed = tmp_path / "installed"
    shutil.copytree(lambda_assets(), installed)
    for path in installed.rglob("*"):
        path.chmod((0o777 if path.is_dir() else 0o666) & ~umask)
    before = own_asset(tmp_path / "before").name
    monkeypatch.setattr(_assets, "lambda_assets", lambda: installed)
    assets = [own_asset(tmp_path / name) for name in ("a", "b")]
    assert {asset.name for asset in assets} == {before}
    modes = {path.stat().st_mode & 0o777 for asset in assets for path in asset.rglob("*") if path.is_file()}
    assert modes == {0o644}
    assert {path.stat().st_mode & umask for path in installed.rglob("*")} == {0}


def test_nobody_else_may_change_our_own_code_while_it_is_copied(tmp_path: Path) -> None:
    """Where a group may write what is installed: a new folder may have another group."""
    (tmp_path / "handler.py").touch(mode=0o660)
    (tmp_path / "core.py").touch()
    tmp_path.chmod(0o770)
    copy = _assets._readable(tmp_path)
    assert (copy.parent.stat().st_mode & 0o777, copy.stat().st_mode & 0o777) == (0o700, 0o755)


@pytest.mark.parametrize("timezone", ["UTC", "Pacific/Kiritimati"])
@pytest.mark.parametrize("locale", ["C", "tr_TR.UTF-8"])
def test_neither_the_clock_nor_the_language_changes_a_hash(
    entry: Path, monkeypatch: pytest.MonkeyPatch, timezone: str, locale: str
) -> None:
    """Nor when a file was written."""
    here = _bundling._hash(dict(_bundling._files(entry)), ANYWHERE)
    monkeypatch.setenv("TZ", timezone)
    monkeypatch.setenv("LC_ALL", locale)
    os.utime(entry / "agent.py", (0, 0))
    assert _bundling._hash(dict(_bundling._files(entry)), ANYWHERE) == here


def test_pins_that_windows_wrote_are_read(entry: Path) -> None:
    """With a mark at the beginning and its own line ends."""
    (entry / "requirements.txt").write_bytes("\ufeffidna==3.10\r\n".encode())
    assert find_dependencies(entry) == entry / "requirements.txt"


def test_fails_when_pins_are_no_utf8(stack: cdk.Stack, entry: Path) -> None:
    """As PowerShell's `pip freeze > requirements.txt` writes them."""
    (entry / "requirements.txt").write_bytes("idna==3.10\r\n".encode("utf-16"))
    with pytest.raises(ValueError, match=r"requirements\.txt must be UTF-8, got other text .*; save it as UTF-8"):
        AgentFunction(stack, "Agent", entry=entry)


def calls(module: ast.Module) -> Iterator[tuple[str, set[str]]]:
    """Give the name of what is called, and the keywords it is given."""
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            yield name, {keyword.arg or "" for keyword in node.keywords}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_source_depends_on_the_system(path: Path) -> None:
    """No encoding of the machine's, no module that Windows has not, no folder that only Unix has."""
    text = path.read_text(encoding="utf-8")
    module = ast.parse(text)
    texts = [given for name, given in calls(module) if name in {"open", "read_text", "write_text"} or "text" in given]
    assert [given for given in texts if "encoding" not in given] == []
    imported = {alias.name for node in ast.walk(module) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(module) if isinstance(node, ast.ImportFrom)}
    assert not imported & {"fcntl", "grp", "pty", "pwd", "resource", "termios"}
    assert not re.findall(r"os\.(?:killpg|fork|getuid|setsid|mkfifo)\b|SIGKILL", text)
    constants = [str(node.value) for node in ast.walk(module) if isinstance(node, ast.Constant)]
    assert not [each for each in constants if re.match(r"/(tmp|usr|bin|dev|etc)\b", each)]
