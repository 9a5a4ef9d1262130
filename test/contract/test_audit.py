"""What is pinned is pinned by hash, and asked about."""

import datetime as dt
import json
import re
from pathlib import Path

import httpx
import pytest

from scripts import audit
from test.contract.test_project import ROOT, tracked

PINNED = re.compile(r"^[a-z0-9._-]+==[^\s;]+(?: ; .+)?$")
HASHES = re.compile(r"^ {4}--hash=sha256:[0-9a-f]{64}$")
ALLOWED = """
[[allowed]]
id = "CVE-1"
reason = "not called"
expires = 2026-12-31
"""


def requirement_files() -> list[Path]:
    """Give every file of requirements that is installed from."""
    return [path for path in tracked() if path.name.startswith("requirements") and path.suffix == ".txt"]


@pytest.mark.parametrize("path", requirement_files(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_requirement_has_a_hash(path: Path) -> None:
    """For each file of it, so that an index cannot hand out another."""
    logical = path.read_text(encoding="utf-8").replace(" \\\n", "\0").splitlines()
    assert logical
    for line in logical:
        pin, *hashes = line.split("\0")
        assert PINNED.match(pin), pin
        assert hashes, pin
        assert all(HASHES.match(each) for each in hashes), pin


def test_the_development_set_has_the_same_pins_with_and_without_hashes() -> None:
    """`.ci/run` installs from the one, and from the other come users' and benchmarks' constraints."""
    hashed = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8").splitlines()
    pins = [line.removesuffix(" \\") for line in hashed if not line.startswith(" ")]
    assert pins == (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert "uv pip sync -q --require-hashes requirements-dev.txt\n" in (ROOT / ".ci" / "run").read_text(
        encoding="utf-8"
    )


def test_ci_installs_nothing_from_an_index_without_a_hash() -> None:
    """The installer itself, too, where it is not there yet."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    installing = re.findall(r"^.*\bpip (?:install|sync)\b.*$", script, re.MULTILINE)
    assert len(installing) == 2
    assert all(" --require-hashes " in line for line in installing)
    assert r"sed -n '/^uv==/,/[^\\]$/p' requirements-dev.txt" in installing[0]


def test_every_locked_file_is_audited_but_another_projects() -> None:
    """A new layer's too."""
    audited = {path for path in tracked() if path in audit.locked_files()}
    others = {path for path in requirement_files() if path.is_relative_to(ROOT / "test" / "local")}
    assert audited == {*requirement_files(), ROOT / "constraints.txt"} - others


def test_pins_are_read_with_and_without_hashes_and_markers() -> None:
    """Of every platform, each version once."""
    text = "a==1 ; python_full_version < '3.12'\na==2\nB[extra]==1.0 \\\n    --hash=sha256:00\n# c==1\n"
    assert audit.python_pins([text, "a==1\n"]) == {("a", "1"), ("a", "2"), ("b", "1.0")}
    asked = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))["devDependencies"]
    locked = audit.npm_pins(json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8")))
    assert {name for name, _ in locked - set(asked.items())} == {"fsevents"}  # pyright's, on macOS
    assert set(asked.items()) <= locked


def test_users_get_the_command_line_that_is_audited() -> None:
    """Their local runs have a lock of their own, which pins what the project's does."""
    folder = ROOT / "src" / "ak_constructs" / "local"
    asked = json.loads((folder / "package.json").read_text(encoding="utf-8"))["dependencies"]
    locked = json.loads((folder / "package-lock.json").read_text(encoding="utf-8"))
    project = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))
    (version,) = asked.values()
    assert audit.npm_pins(locked) == {("aws-cdk", version)} <= audit.npm_pins(project)
    (ours,) = (each for name, each in locked["packages"].items() if name)
    assert ours["integrity"] == project["packages"]["node_modules/aws-cdk"]["integrity"]


def test_a_vulnerability_is_accepted_by_any_of_its_names_until_a_day() -> None:
    """And neither for ever nor in vain."""
    allowed = audit.read_allowed(ALLOWED)
    found = {"a 1: PYSEC-1": {"PYSEC-1", "CVE-1"}}
    assert audit.judge(found, allowed) == []
    assert audit.judge(found, []) == ["a 1: PYSEC-1 is a known vulnerability"]
    assert audit.judge({}, allowed) == ["CVE-1 is accepted and no pin has it"]
    assert audit.expired(allowed, dt.date(2026, 12, 31)) == []
    assert audit.expired(allowed, dt.date(2027, 1, 1)) == ["CVE-1 was accepted until 2026-12-31: not called"]


def test_what_the_project_accepts_can_be_read() -> None:
    """With a reason for each."""
    assert all(len(each.reason) > 20 for each in audit.read_allowed(audit.ALLOWED.read_text(encoding="utf-8")))


@pytest.mark.parametrize("answer", [httpx.Response(404), httpx.Response(200, json={}), httpx.Response(200, text="<")])
def test_a_service_that_knows_nothing_is_not_taken_for_a_clean_answer(
    answer: httpx.Response, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a mirror of the index answers: it is said aloud, and is no failure."""
    answer.request = httpx.Request("POST", audit.OSV)
    monkeypatch.setattr(httpx, "post", lambda *_args, **_options: answer)
    assert audit.main([]) == 0
    assert "*** NOT AUDITED: " in capsys.readouterr().out
