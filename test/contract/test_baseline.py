"""The release that the next is compared with, and the command that makes it so."""

import ast
import hashlib
import re
import zipfile
from pathlib import Path

import pytest

from scripts import baseline
from scripts.project import ROOT

NEEDED = {"ak_constructs", "aws_cdk", "boto3", "constructs"}  # boto3 is there for agents, wherever they run


def test_todays_examples_can_be_the_next_baseline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They stand alone once they acknowledge nothing; nobody wants to learn that after the release."""
    monkeypatch.setattr(baseline, "RELEASED", tmp_path)
    for name, agents in baseline.APPS.items():
        assert baseline.freeze(name, ROOT)
        assert list((tmp_path / "apps" / name / agents).rglob("agent.py"))
    assert not baseline.freeze("no_such_app", ROOT)
    assert_alone(tmp_path / "apps")


def test_the_released_apps_need_nothing_but_the_wheel() -> None:
    """And aws-cdk-lib."""
    assert_alone(baseline.RELEASED / "apps")


def assert_alone(apps: Path) -> None:
    """Check what modules import, and that nothing is named that was taken away."""
    for path in apps.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        nodes = list(ast.walk(tree))
        whole = {alias.name for each in nodes if isinstance(each, ast.Import) for alias in each.names}
        parts = {str(each.module) for each in nodes if isinstance(each, ast.ImportFrom)}
        roots = {name.partition(".")[0] for name in whole | parts}
        assert roots - NEEDED <= {"os", "pathlib", "platform", "re", "time"}, path
        assert not [each for each in nodes if isinstance(each, ast.Name) and "acknowledge" in each.id], path


def test_a_wheel_takes_the_place_of_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder has one, and it is a wheel of this package."""
    monkeypatch.setattr(baseline, "RELEASED", tmp_path / "released")
    for version in ("1", "2"):
        made = tmp_path / f"ak_constructs-{version}-py3-none-any.whl"
        made.write_text(version, encoding="utf-8")
        baseline.keep_wheel(made)
    assert [path.name for path in (tmp_path / "released").iterdir()] == ["ak_constructs-2-py3-none-any.whl"]
    monkeypatch.undo()
    (wheel,) = baseline.RELEASED.glob("*.whl")
    with zipfile.ZipFile(wheel) as found:
        assert "ak_constructs/agent_queue.py" in found.namelist()


def test_another_wheel_shows_in_a_review() -> None:
    """It is installed and run here, and a review shows none of its bytes: the text beside it has their hash."""
    (wheel,) = baseline.RELEASED.glob("*.whl")
    said = (baseline.RELEASED / "README.md").read_text(encoding="utf-8")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert f"- `{wheel.name}`: " in said
    assert re.findall(r"SHA-256 `(\w+)`", said) == [digest]
