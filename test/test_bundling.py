"""Packaging of the user's folder with our runner beside it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_lambda as lambda_

from ak_constructs import AgentFunction, _bundling, _dependencies
from ak_constructs._assets import own_code
from ak_constructs._lambda_assets import lambda_assets
from test.pythons import require_python, this_version


def packaged(entry: Path, out: Path, **settings: Any) -> Path:  # noqa: ANN401
    """Synthesize an agent with bundling on and give the folder that becomes its zip."""
    app = cdk.App(outdir=str(out), analytics_reporting=False)
    AgentFunction(cdk.Stack(app, "Stack"), "Agent", entry=str(entry), **settings)
    app.synth()
    (asset,) = out.glob("asset.*")
    return asset


def names(asset: Path) -> set[str]:
    """Give the names of all files of a package."""
    return {path.relative_to(asset).as_posix() for path in asset.rglob("*") if path.is_file()}


def test_the_users_files_and_the_runner_lie_side_by_side(entry: Path, tmp_path: Path) -> None:
    """Everything of the user's folder and all of ak_lambda, byte for byte."""
    (entry / "prompts").mkdir()
    (entry / "prompts" / "system.txt").write_bytes(b"Be kind.\r\n")
    asset = packaged(entry, tmp_path / "out")
    found = names(asset)
    assert {name for name in found if not name.startswith("ak_lambda/")} == {"agent.py", "prompts/system.txt"}
    assert {"ak_lambda/__init__.py", "ak_lambda/agent_runner/handler.py"} <= found
    assert (asset / "prompts/system.txt").read_bytes() == b"Be kind.\r\n"


@pytest.mark.parametrize(
    "path",
    [
        ".env",
        ".git/config",
        "prompts/.env",
        "__pycache__/notes.txt",
        ".venv/lib/x.py",
        "__pycache__/agent.cpython-313.pyc",
        "old.pyc",
        "node_modules/x.js",
        "out/cdk.out",
        "env/pyvenv.cfg",
    ],
)
def test_hidden_files_and_bytecode_stay_out_and_change_no_hash(entry: Path, tmp_path: Path, path: str) -> None:
    """A secret in .env must never reach a bucket."""
    before = packaged(entry, tmp_path / "before")
    (entry / path).parent.mkdir(exist_ok=True, parents=True)
    (entry / path).write_bytes(b"SECRET=1")
    after = packaged(entry, tmp_path / "after")
    assert path not in names(after)
    assert before.name == after.name


def test_line_ends_and_the_folders_place_do_not_change_the_hash(entry: Path, tmp_path: Path) -> None:
    """Two checkouts of one commit agree, on Windows too."""
    elsewhere = tmp_path / "another place" / "agent"
    elsewhere.mkdir(parents=True)
    (elsewhere / "agent.py").write_bytes((entry / "agent.py").read_bytes().replace(b"\n", b"\r\n"))
    assert packaged(entry, tmp_path / "a").name == packaged(elsewhere, tmp_path / "b").name


@pytest.mark.parametrize(
    ("path", "content"),
    [("agent.py", b"def respond(turn): ..."), ("more.py", b""), ("data.bin", b"\0\r\n")],
)
def test_another_content_or_another_name_changes_the_hash(
    entry: Path, tmp_path: Path, path: str, content: bytes
) -> None:
    """A change is deployed."""
    before = packaged(entry, tmp_path / "a").name
    (entry / path).write_bytes(content)
    assert packaged(entry, tmp_path / "b").name != before


def test_a_renamed_file_changes_the_hash(entry: Path, tmp_path: Path) -> None:
    """With the same content."""
    (entry / "one.txt").write_text("x", encoding="utf-8")
    before = packaged(entry, tmp_path / "a").name
    (entry / "one.txt").rename(entry / "two.txt")
    assert packaged(entry, tmp_path / "b").name != before


def test_another_runner_changes_the_hash(entry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upgrade of this library must deploy its runner."""
    before = packaged(entry, tmp_path / "a").name
    upgraded = tmp_path / "upgraded"
    shutil.copytree(lambda_assets(), upgraded)
    (upgraded / "ak_lambda" / "__init__.py").write_text("# upgraded\n", encoding="utf-8")
    monkeypatch.setattr(_bundling, "lambda_assets", lambda: upgraded)
    assert packaged(entry, tmp_path / "b").name != before


def test_the_zip_of_our_own_functions_holds_their_code_and_nothing_else(tmp_path: Path) -> None:
    """No bytecode and no prose."""
    app = cdk.App(outdir=str(tmp_path / "out"), analytics_reporting=False)
    code = own_code()
    lambda_.Function(cdk.Stack(app, "S"), "F", code=code, handler="x.y", runtime=lambda_.Runtime.PYTHON_3_13)
    app.synth()
    (asset,) = (tmp_path / "out").glob("asset.*")
    found = names(asset)
    assert "ak_lambda/health/handler.py" in found
    assert all(name.startswith("ak_lambda/") and name.endswith(".py") for name in found)


def test_binary_files_are_hashed_as_they_are(entry: Path, tmp_path: Path) -> None:
    """A carriage return in a binary file is no line end."""
    (entry / "data.bin").write_bytes(b"\0\r\n")
    before = packaged(entry, tmp_path / "a").name
    (entry / "data.bin").write_bytes(b"\0\n")
    assert packaged(entry, tmp_path / "b").name != before


PINNED = """\
# made by hand, two of them with compiled code
annotated-types==0.7.0
orjson==3.11.4  # fast
pydantic==2.12.4
pydantic-core==2.41.5
typing_extensions==4.15.0 ; python_version >= "3.9"
typing-inspection==0.4.2
colorama==0.4.6 ; sys_platform == "win32"
"""


@pytest.fixture
def pinned(entry: Path) -> Path:
    """Make an agent's folder whose packages are all pinned."""
    (entry / "requirements.txt").write_text(PINNED, encoding="utf-8")
    return entry


def tags(asset: Path) -> set[str]:
    """Give the platform tags of all wheels with compiled code that a package holds."""
    found: set[str] = set()
    for wheel in asset.glob("*.dist-info/WHEEL"):
        found.update(
            re.findall(r"^Tag: (?!.*-any$).*-([\w.]+)$", wheel.read_text(encoding="utf-8"), flags=re.MULTILINE)
        )
    return found


@pytest.mark.parametrize(
    ("architecture", "runtime", "suffix"),
    [
        (lambda_.Architecture.ARM_64, lambda_.Runtime.PYTHON_3_13, "cpython-313-aarch64-linux-gnu.so"),
        (lambda_.Architecture.X86_64, lambda_.Runtime.PYTHON_3_12, "cpython-312-x86_64-linux-gnu.so"),
        (lambda_.Architecture.X86_64, lambda_.Runtime.PYTHON_3_11, "cpython-311-x86_64-linux-gnu.so"),
    ],
)
def test_dependencies_are_installed_for_the_functions_platform(
    pinned: Path, tmp_path: Path, architecture: lambda_.Architecture, runtime: lambda_.Runtime, suffix: str
) -> None:
    """Whatever machine and interpreter synthesize."""
    machine = suffix.split("-")[2]
    asset = packaged(pinned, tmp_path / "out", architecture=architecture, runtime=runtime)
    assert {"pydantic/__init__.py", f"orjson/orjson.{suffix}", f"pydantic_core/_pydantic_core.{suffix}"} <= names(asset)
    assert tags(asset)
    assert all(tag.endswith(machine) for tag in tags(asset))
    assert "colorama" not in {path.name for path in asset.iterdir()}


@pytest.mark.parametrize(
    ("machine", "python", "tag"),
    [
        ("aarch64", "3.13", "aarch64-manylinux_2_28"),
        ("x86_64", "3.12", "x86_64-manylinux_2_28"),
        ("x86_64", "3.11", "x86_64-manylinux2014"),
        ("aarch64", "3.9", "aarch64-manylinux2014"),
    ],
)
def test_older_runtimes_have_an_older_c_library(machine: str, python: str, tag: str) -> None:
    """Up to Python 3.11 Lambda runs on Amazon Linux 2."""
    assert _dependencies.Platform(machine=machine, python=python).tag == tag


def test_what_is_installed_for_this_host_runs_on_it(pinned: Path, tmp_path: Path) -> None:
    """The package alone, without anything else to import from."""
    host = lambda_.Architecture.ARM_64 if os.uname().machine in {"arm64", "aarch64"} else lambda_.Architecture.X86_64
    runtime = lambda_.Runtime(f"python{this_version()}", lambda_.RuntimeFamily.PYTHON)
    asset = packaged(pinned, tmp_path / "out", architecture=host, runtime=runtime)
    code = "import orjson, pydantic, agent; print(orjson.dumps(pydantic.TypeAdapter(int).validate_python('7')))"
    ran = subprocess.run(
        [sys.executable, "-IS", "-c", f"import sys; sys.path.insert(0, '.'); {code}"],
        cwd=asset,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "b'7'\n", "")


def test_nothing_of_the_installer_or_the_machine_is_packaged(pinned: Path, tmp_path: Path) -> None:
    """Metadata stays, for importlib.metadata; what differs between machines goes."""
    asset = packaged(pinned, tmp_path / "out")
    found = names(asset)
    assert {(asset / name).stat().st_nlink for name in found} == {1}, "an edit would change uv's cache"
    assert [name for name in found if name.endswith("dist-info/METADATA")]
    for name in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"):
        assert not [path for path in found if path.endswith(f".dist-info/{name}")], name
    assert not [path for path in found if path.startswith(("bin/", ".lock")) or "__pycache__" in path]


def test_links_inside_the_folder_are_packaged_as_what_they_lead_to(entry: Path, tmp_path: Path) -> None:
    """A shared module, for one."""
    (entry / "prompts").mkdir()
    (entry / "prompts" / "a.txt").write_text("a", encoding="utf-8")
    (entry / "bots").mkdir()
    (entry / "bots" / "prompts").symlink_to("../prompts")
    (entry / "b.txt").symlink_to("prompts/a.txt")
    asset = packaged(entry, tmp_path / "out")
    assert {"prompts/a.txt", "bots/prompts/a.txt", "b.txt"} <= names(asset)
    assert not (asset / "b.txt").is_symlink()


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("config", ".env"),
        ("git", ".git"),
        ("passwd.txt", "/etc/passwd"),
        ("up", ".."),
        ("loop", "."),
        ("deep/loop", "../deep"),
        ("itself", "itself"),
        ("nowhere", "missing.txt"),
    ],
)
def test_fails_when_a_link_leads_out_to_something_hidden_or_in_a_circle(
    stack: cdk.Stack, entry: Path, link: str, target: str
) -> None:
    """What a folder's own rules leave out must not come in by another name."""
    (entry / ".env").write_text("SECRET=1", encoding="utf-8")
    (entry / ".git").mkdir()
    (entry / link).parent.mkdir(exist_ok=True)
    (entry / link).symlink_to(target)
    with pytest.raises(ValueError, match=r"^entry must have "):
        AgentFunction(stack, "Agent", entry=str(entry))


def test_fails_when_the_folder_has_a_pipe(stack: cdk.Stack, entry: Path) -> None:
    """Reading it would never end."""
    os.mkfifo(entry / "pipe")
    with pytest.raises(ValueError, match=r"^entry must have files and folders only, got .*/pipe; move it elsewhere$"):
        AgentFunction(stack, "Agent", entry=str(entry))


def test_two_interpreters_and_two_places_give_the_same_package(pinned: Path, tmp_path: Path) -> None:
    """By name and byte by byte, with Windows line ends in one of them."""
    other = require_python(*({"3.11", "3.12", "3.13"} - {this_version()}))
    elsewhere = tmp_path / "another place"
    shutil.copytree(pinned, elsewhere)
    for path in elsewhere.iterdir():
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    here = packaged(pinned, tmp_path / "here")
    script = f"""
import sys
from pathlib import Path
sys.path[:0] = [{str(Path(_dependencies.__file__).parents[1])!r}, *{[p for p in sys.path if "site-packages" in p]!r}]
from ak_constructs._dependencies import Platform, install
Path(sys.argv[2]).mkdir()
install(Path(sys.argv[1]), Path(sys.argv[2]), Platform(machine="aarch64", python="3.13"))
"""
    there = tmp_path / "there"
    command = [other, "-c", script, str(elsewhere / "requirements.txt"), str(there)]
    subprocess.run(command, check=True, capture_output=True)
    own = {"agent.py", "requirements.txt"}
    ours = {name: (here / name).read_bytes() for name in names(here) if name not in own and "ak_lambda" not in name}
    assert ours == {name: (there / name).read_bytes() for name in names(there)}
    assert packaged(elsewhere, tmp_path / "again").name == here.name


def test_the_platform_changes_the_hash_only_where_something_is_installed(
    entry: Path, pinned: Path, tmp_path: Path
) -> None:
    """Pure Python runs anywhere."""
    arm, x86 = lambda_.Architecture.ARM_64, lambda_.Architecture.X86_64
    with_packages = {packaged(pinned, tmp_path / f"p{each.name}", architecture=each).name for each in (arm, x86)}
    (entry / "requirements.txt").write_text("# nothing yet\n", encoding="utf-8")
    without = {packaged(entry, tmp_path / f"n{each.name}", architecture=each).name for each in (arm, x86)}
    assert (len(with_packages), len(without)) == (2, 1)


def test_a_second_synth_installs_nothing(
    pinned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """And the first says what it does, on stderr."""
    first = packaged(pinned, tmp_path / "out")
    said = capfd.readouterr()
    says = "installing .*requirements.txt for aarch64-manylinux_2_28, Python 3.13"  # CDK's own line may come in between
    assert re.search(rf"ak-constructs: {says} ... (Bundling asset .*\n)?\d", said.err)
    assert said.out == ""
    monkeypatch.setattr(subprocess, "run", None)
    assert packaged(pinned, tmp_path / "out") == first


def test_nothing_to_install_needs_no_uv(entry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor a network."""
    monkeypatch.setattr(subprocess, "run", None)
    (entry / "requirements.txt").write_text("\n# nothing\n", encoding="utf-8")
    assert "agent.py" in names(packaged(entry, tmp_path / "a"))
    (entry / "requirements.txt").unlink()
    (entry / "pyproject.toml").write_text("[tool.ruff]\n", encoding="utf-8")
    assert "pyproject.toml" in names(packaged(entry, tmp_path / "b"))


def test_what_the_runtime_has_is_left_out_unless_it_is_pinned(entry: Path, tmp_path: Path) -> None:
    """boto3 alone would be most of a package."""
    write(entry, "s3transfer==0.14.0")
    without = {path.name for path in packaged(entry, tmp_path / "a").iterdir()}
    assert "s3transfer" in without
    assert not without & {"boto3", "botocore", "jmespath", "dateutil", "six.py", "urllib3"}
    write(entry, "s3transfer==0.14.0\nsix==1.17.0")
    assert "six.py" in {path.name for path in packaged(entry, tmp_path / "b").iterdir()}


def write(entry: Path, requirements: str) -> None:
    """Write requirements.txt."""
    (entry / "requirements.txt").write_text(requirements, encoding="utf-8")


@pytest.mark.parametrize(
    "line",
    [
        "httpx",
        "httpx>=0.28",
        "httpx==0.*",
        "-r more.txt",
        "-e .",
        "./local",
        "httpx @ https://example.com/x.whl",
        "--index-url https://example.com/simple",
        "httpx==0.28.1, <1",
    ],
)
def test_fails_when_a_requirement_is_not_pinned(stack: cdk.Stack, entry: Path, line: str) -> None:
    """At construction, with the command that pins."""
    write(entry, f"orjson==3.11.4\n{line}\n")
    with pytest.raises(ValueError, match=r"requirements.txt must pin every package by ==, got '.*'; .*uv pip compile"):
        AgentFunction(stack, "Agent", entry=str(entry))


def test_fails_when_what_a_package_needs_is_not_pinned(entry: Path, tmp_path: Path) -> None:
    """Tomorrow it would be another version."""
    write(entry, "pydantic==2.12.4")
    message = "must pin what its packages need too, got no pin for annotated-types, pydantic-core, typing-extensions"
    with pytest.raises(ValueError, match=message):
        packaged(entry, tmp_path / "out")


def test_fails_when_there_is_no_wheel_for_the_platform(entry: Path, tmp_path: Path) -> None:
    """With the package, the rule and the ways out."""
    write(entry, "sgmllib3k==1.0.0")
    message = r"(?s)cannot be installed for aarch64.*PythonLayerVersion.*sgmllib3k==1.0.0"
    with pytest.raises(ValueError, match=message) as failed:
        packaged(entry, tmp_path / "out")
    assert not [each for each in failed.traceback if "_kernel" in str(each.path)], "a page of CDK's own frames"


@pytest.mark.parametrize("unverified", ["0", "1"])
def test_fails_when_a_hash_is_another(
    entry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unverified: str
) -> None:
    """Somebody may have changed the file; what is set around us does not change that."""
    monkeypatch.setenv("UV_NO_VERIFY_HASHES", unverified)
    write(entry, "six==1.16.0 --hash=sha256:" + "0" * 64)
    with pytest.raises(ValueError, match=r"(?s)uv says: .*six==1.16.0.*[Hh]ash"):
        packaged(entry, tmp_path / "out")


def test_fails_when_there_is_no_network(entry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing in the cache."""
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    write(entry, "six==1.16.0")
    with pytest.raises(ValueError, match=r"(?s)without a network, fill uv's cache first.*uv says: .*127.0.0.1:9"):
        packaged(entry, tmp_path / "out")


def test_fails_when_there_is_no_uv(entry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says where it comes from."""
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.setitem(sys.modules, "uv", None)
    write(entry, "six==1.16.0")
    with pytest.raises(
        ValueError, match=r"^uv is needed to install .*; run `pip install 'ak-constructs\[bundling\]'`$"
    ):
        packaged(entry, tmp_path / "out")


def test_uv_is_found_on_a_relative_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Task runners put `.venv/bin` there, and uv runs in another folder."""
    monkeypatch.setattr(shutil, "which", lambda _name: ".venv/bin/uv")
    assert _dependencies._find_uv() == str(Path(".venv/bin/uv").absolute())


def test_uv_comes_from_the_extra_when_it_is_not_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the package uv says."""
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    assert Path(_dependencies._find_uv()).is_file()


def test_fails_when_the_package_is_too_large(entry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the largest parts and the way out."""
    (entry / "weights").mkdir()
    (entry / "weights" / "model.bin").write_bytes(b"\0" * 3_000_000)
    monkeypatch.setattr(_dependencies, "LAMBDA_UNZIPPED_BYTES", 2_000_000)
    message = r"^the package must be at most 2 MB unzipped, got 3 MB \(weights 3 MB, .*\); .*from_asset_image"
    with pytest.raises(ValueError, match=message):
        packaged(entry, tmp_path / "out")


@pytest.mark.parametrize("name", ["orjson.py", "orjson/__init__.py", "OrJSON.py"])
def test_fails_when_a_file_would_hide_a_dependency(pinned: Path, tmp_path: Path, name: str) -> None:
    """Which of the two is imported would be an accident; a Mac has room for one of them only, whatever the capitals."""
    (pinned / name).parent.mkdir(exist_ok=True)
    (pinned / name).touch()
    message = r"^entry must not have the name of a package that it depends on, got '(?i:orjson)"
    with pytest.raises(ValueError, match=message):
        packaged(pinned, tmp_path / "out")


def lock(entry: Path, dependencies: list[str]) -> None:
    """Write a project and lock it."""
    quoted = ", ".join(f'"{each}"' for each in dependencies)
    project = f'[project]\nname = "x"\nversion = "0"\nrequires-python = ">=3.11"\ndependencies = [{quoted}]\n'
    (entry / "pyproject.toml").write_text(project, encoding="utf-8")
    subprocess.run([_dependencies._find_uv(), "lock", "-q"], check=True, cwd=entry)


def test_a_project_with_its_lock_is_installed(entry: Path, tmp_path: Path) -> None:
    """At the locked versions, with all they need."""
    lock(entry, ["pydantic==2.12.4"])
    asset = packaged(entry, tmp_path / "out")
    assert {"pydantic/__init__.py", "typing_extensions.py", "agent.py"} <= names(asset)
    assert all(tag.endswith("aarch64") for tag in tags(asset))


def test_fails_when_a_project_has_no_lock(stack: cdk.Stack, entry: Path) -> None:
    """At construction."""
    lock(entry, ["six"])
    (entry / "uv.lock").unlink()
    with pytest.raises(
        ValueError, match=r"pyproject.toml has dependencies but no lock beside it; run `uv lock` there$"
    ):
        AgentFunction(stack, "Agent", entry=str(entry))


def test_fails_when_the_lock_is_older_than_the_project(stack: cdk.Stack, entry: Path) -> None:
    """A forgotten `uv lock` must not deploy the old dependencies."""
    lock(entry, ["six"])
    project = entry / "pyproject.toml"
    project.write_text(project.read_text(encoding="utf-8").replace('"six"', '"six", "Typing_Extensions>=4"'))
    with pytest.raises(
        ValueError, match=r"uv.lock does not have all dependencies of pyproject.toml; run `uv lock` there$"
    ):
        AgentFunction(stack, "Agent", entry=str(entry))


def test_a_project_without_dependencies_needs_no_lock(entry: Path, tmp_path: Path) -> None:
    """Many folders have a pyproject.toml for their tools alone."""
    (entry / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "0"\ndependencies = []\n')
    assert "pyproject.toml" in names(packaged(entry, tmp_path / "out"))
