"""The project's own files."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import scripts

ROOT = Path(__file__).parents[2]


def tracked() -> list[Path]:
    """Give every file that git tracks or would."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.splitlines() if (ROOT / name).is_file()]


def test_projenrc_leaves_no_difference(tmp_path: Path) -> None:
    """It is the only author of pyproject.toml and of the tasks."""
    for source in tracked():
        target = tmp_path / source.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run([sys.executable, ".projenrc.py"], cwd=tmp_path, env=environment, check=True, capture_output=True)
    written = json.loads((ROOT / ".projen" / "files.json").read_text(encoding="utf-8"))["files"]
    assert "pyproject.toml" in written
    for name in written:
        assert (tmp_path / name).read_bytes() == (ROOT / name).read_bytes(), name


def test_pins_name_no_host() -> None:
    """They must resolve on anyone's machine, from anyone's index."""
    for path in tracked():
        if "lock" in path.name or path.name.startswith(("requirements", "constraints")):
            assert not re.search(r"https?://", path.read_text(encoding="utf-8")), path
    assert not (ROOT / "uv.lock").exists() or ROOT / "uv.lock" not in tracked()


def test_every_constraint_is_an_exact_pin() -> None:
    """And pyproject.toml carries them all."""
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert lines
    for line in lines:
        assert re.match(r"^[a-z0-9-]+==[^ ]+( ; .+)?$", line), line
        assert json.dumps(line) in pyproject, line


def test_no_text_names_a_machines_path() -> None:
    """What works on one machine only helps nobody."""
    folders = "root|" + "work|home"
    for path in tracked():
        if path.suffix in {".py", ".md", ".toml", ".json", ".txt", ".in", ".sh", ""}:
            text = path.read_text(encoding="utf-8")
            assert not re.search(rf"(^|[^A-Za-z0-9._-])/({folders})/[a-zA-Z]", text), path


def test_every_script_is_in_the_table() -> None:
    """With the tasks that run it; what is not run is named below."""
    table, _, shared = str(scripts.__doc__).partition("|---|---|---|\n")[2].partition("\nWhat they share: ")
    rows = dict(re.findall(r"^\| (\w+) \| ([\w, ]*?) ?\| .+ \|$", table, flags=re.MULTILINE))
    modules = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "scripts").glob("[!_]*.py")}
    named = set(re.findall(r"`(\w+)`", table + shared))
    assert set(rows) == {name for name, text in modules.items() if "def main(" in text} - named
    assert set(modules) - set(rows) <= named
    tasks = json.loads((ROOT / ".projen" / "tasks.json").read_text(encoding="utf-8"))["tasks"]
    run = {
        (found, name)
        for name, task in tasks.items()
        if name != "fix"
        for step in task.get("steps", ())
        for found in re.findall(r"-m scripts\.(\w+)", step.get("exec", ""))
    }
    assert run == {(script, task) for script, given in rows.items() for task in given.split(", ") if task}
