"""The tutorial, as somebody new to it does it: from the wheel, in an empty folder, each command in its place."""

import doctest
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts.project import ROOT, build, uv
from test.local.processes import left_of

pytestmark = pytest.mark.local
TUTORIAL = ROOT / "docs" / "tutorial.md"
MINUTES = 10  # what the tutorial and the home page promise
BLOCK = re.compile(r"^```(?P<kind>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Step:
    """A file to write, or a command to run with what it should print."""

    title: str
    text: str
    printed: str = ""


def steps() -> Iterator[Step]:
    """Read the tutorial."""
    blocks = list(BLOCK.finditer(TUTORIAL.read_text(encoding="utf-8")))
    assert {block["kind"] for block in blocks} == {"python", "shell", "text", "console"}
    for block, following in zip(blocks, [*blocks[1:], None], strict=True):
        if block["kind"] == "python":
            assert block["title"], "a file without a name"
            yield Step(block["title"], block["text"])
        elif block["kind"] == "shell":
            assert following, "a command without its output"
            assert following["kind"] == "text", "a command without its output"
            yield Step("", block["text"], following["text"])


@dataclass
class Reader:
    """Somebody with uv and an empty home."""

    folder: Path
    home: Path
    environment: dict[str, str]

    @classmethod
    def new(cls, at: Path) -> "Reader":
        """Give them the wheel, as an index would."""
        programs, home, work = at / "bin", at / "home", at / "work"
        for folder in (programs, home, work):
            folder.mkdir()
        (programs / "uv").symlink_to(uv())
        cache = subprocess.run([uv(), "cache", "dir"], check=True, capture_output=True, text=True).stdout.strip()
        wheel = build(at / "dist", "--wheel")
        kept = ("LANG", "SSL_", "PIP_", "UV_", "NPM_", "npm_", "HTTP", "http", "NO_PROXY", "no_proxy", "NODE_EXTRA")
        environment = {name: value for name, value in os.environ.items() if name.startswith(kept)}
        for name in ("UV_PROJECT_ENVIRONMENT", "UV_RUN_RECURSION_DEPTH", "UV_FROZEN", "UV_NO_SYNC"):
            environment.pop(name, None)  # of the project whose test this is
        return cls(
            work,
            home,
            {
                **environment,
                "HOME": str(home),
                "PATH": f"{programs}:/usr/bin:/bin",
                "TMPDIR": str(at),
                "UV_CACHE_DIR": cache,
                "UV_FIND_LINKS": str(wheel.parent),
                "UV_PYTHON": os.path.realpath(sys.executable),
                "UV_PYTHON_DOWNLOADS": "never",
            },
        )

    def write(self, step: Step) -> None:
        """Write a file."""
        path = self.folder / step.title
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(step.text, encoding="utf-8")

    def run(self, step: Step) -> None:
        """Run commands where the last ones led, and compare what they print with what the tutorial says."""
        where = self.home / "where"
        pins = {"UV_CONSTRAINT": str(ROOT / "constraints.txt")} if "uv add" in step.text else {}
        ran = subprocess.run(
            ["/bin/bash", "-euc", f"{step.text}pwd >{where}"],
            cwd=self.folder,
            env={**self.environment, **pins},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60 * MINUTES,
            check=False,
        )
        said = f"$ {step.text}{ran.stdout}"
        assert ran.returncode == (1 if re.search(r"^\d+ failed", step.printed, re.MULTILINE) else 0), said
        assert matches(step.printed, ran.stdout), f"{said}\nThe tutorial says:\n{step.printed}"
        if where.exists():
            self.folder = Path(where.read_text(encoding="utf-8").strip())


def matches(said: str, printed: str) -> bool:
    """Say whether this was printed, where `...` is anything."""
    return doctest.OutputChecker().check_output(said, printed, doctest.ELLIPSIS)


def test_somebody_new_gets_a_chat_a_snapshot_and_an_audit_in_ten_minutes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every file and every command of the tutorial, in order, each with the output that it shows."""
    reader = Reader.new(tmp_path)
    took = 0.0
    for step in steps():
        if step.title:
            reader.write(step)
            continue
        began = time.monotonic()
        reader.run(step)
        took += time.monotonic() - began
        with capsys.disabled():
            sys.stdout.write(f"\n{time.monotonic() - began:5.1f} s  {' && '.join(step.text.splitlines())}")
    with capsys.disabled():
        sys.stdout.write(f"\n{took:5.1f} s  in all\n")
    assert took < 60 * MINUTES
    assert left_of(str(tmp_path)) == []


def test_an_output_is_compared(tmp_path: Path) -> None:
    """Else a tutorial may say anything."""
    assert matches("...\n1 passed in ...\n", ".    [100%]\n1 passed in 0.01s\n")
    assert not matches("...\n2 passed in ...\n", ".    [100%]\n1 passed in 0.01s\n")
    reader = Reader(tmp_path, tmp_path, dict(os.environ))
    with pytest.raises(AssertionError, match="The tutorial says"):
        reader.run(Step("", "echo this\n", "that\n"))
    with pytest.raises(AssertionError):
        reader.run(Step("", "false\n", ""))
