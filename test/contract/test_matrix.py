"""The matrix is red when a combination is not as it must be."""

import subprocess
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from scripts import matrix

PINNED = {"templates": {"Stack": {"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}}, "versions": {}}
CHANGED = {"templates": {"Stack": {"Resources": {"Other": {"Type": "AWS::SQS::Queue"}}}}, "versions": {}}
LOWEST = matrix.Combination("3.11", "lowest")


@pytest.fixture
def pinned() -> Future[dict[str, Any]]:
    """Give what the pinned versions make."""
    future: Future[dict[str, Any]] = Future()
    future.set_result(PINNED)
    return future


@pytest.mark.parametrize(("wrong", "status"), [("", 0), ("lowest", 1), ("newest", 1)])
def test_one_wrong_combination_makes_the_whole_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str, status: int
) -> None:
    """Whichever it is."""
    monkeypatch.setattr(matrix, "FOLDER", tmp_path / "matrix")
    monkeypatch.setattr(matrix, "build", lambda folder: folder.mkdir())
    monkeypatch.setattr(matrix, "synthesize", lambda *_: PINNED)
    monkeypatch.setattr(matrix, "attempt", lambda each, _: each.cdk != wrong)
    assert matrix.main([]) == status


@pytest.mark.parametrize(
    ("result", "needed", "right", "said"),
    [
        (PINNED, False, True, "Python 3.11 with aws-cdk-lib lowest: ; 0 s\n"),
        (CHANGED, False, False, "differs\n"),
        (None, False, True, "THIS PYTHON IS NOT HERE"),
        (None, True, False, "THIS PYTHON IS NOT HERE"),
    ],
    ids=["the same", "another template", "not here", "not here, and asked for"],
)
def test_a_combination_is_right_when_its_templates_are_the_pinned_ones(  # noqa: PLR0917
    pinned: Future[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    result: Mapping[str, Any] | None,
    needed: bool,
    right: bool,
    said: str,
) -> None:
    """A Python that is not here is a loud line, unless somebody asked for it."""
    monkeypatch.setattr(matrix, "_try", lambda _: result)
    assert matrix.attempt(matrix.Combination("3.11", "lowest", needed=needed), pinned) is right
    assert said in capsys.readouterr().out


def test_a_command_that_fails_makes_its_combination_wrong(
    pinned: Future[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And what it said is shown."""

    def fails(_: matrix.Combination) -> None:
        raise subprocess.CalledProcessError(1, ["synthesize"], "", "no such construct")

    monkeypatch.setattr(matrix, "_try", fails)
    assert not matrix.attempt(LOWEST, pinned)
    assert "no such construct" in capsys.readouterr().out
