"""The command that moves the pins: what it says, what it leaves alone, and when it refuses."""

import subprocess
from pathlib import Path

import pytest

from scripts import upgrade
from test.contract.test_project import tracked

ROOT = Path(__file__).parents[2]


def test_what_moved_is_said_once_for_all_files_that_have_it() -> None:
    """With what is new and what is gone."""
    before = {"a.txt": {"ruff": "1", "old": "1", "same": "1"}, "b.txt": {"ruff": "1"}}
    after = {"a.txt": {"ruff": "2", "new": "3", "same": "1"}, "b.txt": {"ruff": "2"}}
    assert upgrade.moves(before, after) == [
        "new (new) -> 3  [a.txt]",
        "old 1 -> (gone)  [a.txt]",
        "ruff 1 -> 2  [a.txt, b.txt]",
    ]
    assert upgrade.moves(before, before) == []


def test_pins_are_read_of_locked_files_only(tmp_path: Path) -> None:
    """A name with two versions, for two Pythons, is shown with both."""
    (tmp_path / "constraints.txt").write_text("a==1 ; python_version < '3.12'\na==2\n", encoding="utf-8")
    (tmp_path / "requirements.in").write_text("b==1\n", encoding="utf-8")
    lock = '{"packages": {"": {"version": "0"}, "node_modules/c": {"version": "3"}}}'
    (tmp_path / "package-lock.json").write_text(lock, encoding="utf-8")
    names = ["constraints.txt", "requirements.in", "package-lock.json"]
    assert upgrade.pins(tmp_path, names) == {"constraints.txt": {"a": "1, 2"}, "package-lock.json": {"c": "3"}}


def test_what_must_stay_keeps_its_version() -> None:
    """The builder is named in pyproject.toml too, and moves with it by hand."""
    assert upgrade.loosened("hatchling==1.0\nzizmor==1.0\nredis\n") == "hatchling==1.0\nzizmor\nredis\n"


def test_every_requirements_file_of_ours_is_moved() -> None:
    """A new layer's too; those of test/local are other projects' releases that ours is compared with."""
    files = {path for path in tracked() if path.name.startswith("requirements") and path.suffix == ".in"}
    moved = {path for pattern in upgrade.LOCKED for path in ROOT.glob(pattern)}
    assert moved == {path for path in files if not path.is_relative_to(ROOT / "test" / "local")}


def test_fails_when_the_tree_is_not_clean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And has locked nothing by then."""
    monkeypatch.setattr(upgrade, "relock", lambda _copy: pytest.fail("locked"))
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / "constraints.txt").write_text("a==1\n", encoding="utf-8")
    assert upgrade.main([], tmp_path) == 1
    assert "the tree must be clean" in capsys.readouterr().out


@pytest.mark.parametrize("dry", [True, False], ids=["dry run", "for real"])
def test_a_dry_run_says_the_same_and_writes_nothing(
    dry: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And a step that fails writes nothing either."""
    pinned = repository(tmp_path)
    monkeypatch.setattr(upgrade, "relock", lambda copy: (copy / "constraints.txt").write_text("a==2\n"))
    assert upgrade.main(["--dry-run"] if dry else [], tmp_path) == 0
    assert "a 1 -> 2  [constraints.txt]" in capsys.readouterr().out
    assert pinned.read_text(encoding="utf-8") == ("a==1\n" if dry else "a==2\n")


def test_a_step_that_fails_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half of the pins moved would be found out by nobody."""

    def half(copy: Path) -> None:
        (copy / "constraints.txt").write_text("", encoding="utf-8")
        raise upgrade.UpgradeError("no network")

    pinned = repository(tmp_path)
    monkeypatch.setattr(upgrade, "relock", half)
    assert upgrade.main([], tmp_path) == 1
    assert capsys.readouterr().out == "no network\nnothing was moved\n"
    assert pinned.read_text(encoding="utf-8") == "a==1\n"


def repository(folder: Path) -> Path:
    """Make a clean one with one pin."""
    pinned = folder / "constraints.txt"
    pinned.write_text("a==1\n", encoding="utf-8")
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "a"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return pinned
