"""Packaging of the user's folder with our runner beside it."""

from pathlib import Path

import aws_cdk as cdk
import pytest

from ak_constructs import AgentFunction


def packaged(entry: Path, out: Path) -> Path:
    """Synthesize an agent with bundling on and give the folder that becomes its zip."""
    app = cdk.App(outdir=str(out), analytics_reporting=False)
    AgentFunction(cdk.Stack(app, "Stack"), "Agent", entry=str(entry))
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
    "path", [".env", ".git/config", ".venv/lib/x.py", "__pycache__/agent.cpython-313.pyc", "old.pyc"]
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


def test_binary_files_are_hashed_as_they_are(entry: Path, tmp_path: Path) -> None:
    """A carriage return in a binary file is no line end."""
    (entry / "data.bin").write_bytes(b"\0\r\n")
    before = packaged(entry, tmp_path / "a").name
    (entry / "data.bin").write_bytes(b"\0\n")
    assert packaged(entry, tmp_path / "b").name != before
