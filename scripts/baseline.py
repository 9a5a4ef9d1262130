"""Makes a release the one that the next is compared with: writes test/released/.

    python -m scripts.baseline [COMMIT] [--wheel FILE] [--apps COMMIT]

COMMIT defaults to the tag of this version. Without a wheel, such as the published one, it is built from the commit.
Example apps that the commit does not have are taken from the commit after --apps.
"""

import argparse
import contextlib
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from scripts.project import ROOT, build, project

RELEASED = ROOT / "test" / "released"
APPS = {"agent_platform": "agents", "chat_api": "agent", "queued_pipeline": "agent", "websocket_chat": "agent"}
HEADER = "# mypy: ignore-errors\n"
RUFF = '# What was released is not mended.\nexclude = ["*"]\n'
README = """# The release that users have

What tests upgrade from, and what the next release is compared with. `python -m scripts.baseline` writes this folder;
nothing here is changed by hand, but `accepted.toml`.

- `{wheel}`: {origin};
  SHA-256 `{digest}`.
- `apps/`: the example apps of {apps},
  without what acknowledges findings: they need the wheel and aws-cdk-lib, no more.
- `contract.json`: what that wheel promises, as `scripts/contract.py` finds it.
"""


def main(arguments: list[str]) -> int:
    """Write the folder."""
    parser = argparse.ArgumentParser(prog="scripts.baseline")
    parser.add_argument("commit", nargs="?", default=f"v{project()['version']}")
    parser.add_argument("--wheel", type=Path)
    parser.add_argument("--apps", metavar="COMMIT")
    given = parser.parse_args(arguments)
    with _checkout(given.commit) as sources, tempfile.TemporaryDirectory() as built:
        wheel = given.wheel or build(Path(built), source=sources)
        keep_wheel(wheel)
        shutil.rmtree(RELEASED / "apps", ignore_errors=True)
        missing = [name for name in APPS if not freeze(name, sources)]
    wheel = RELEASED / wheel.name
    origin = f"as given, for `{given.commit}`" if given.wheel else f"built from `{given.commit}`"
    apps = f"`{given.commit}`"
    if missing and given.apps:
        with _checkout(given.apps) as sources:
            missing = [name for name in missing if not freeze(name, sources)]
            apps += f", and of `{given.apps}` what that did not have"
    if missing:
        print(f"{given.commit} must have the example apps {missing}; name a commit that has them after --apps")
        return 1
    (RELEASED / "ruff.toml").write_text(RUFF, encoding="utf-8")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()  # nobody reads a wheel in a review
    (RELEASED / "README.md").write_text(
        README.format(wheel=wheel.name, origin=origin, digest=digest, apps=apps), encoding="utf-8"
    )
    write_contract(wheel)
    return 0


def keep_wheel(wheel: Path) -> None:
    """Put a wheel in the place of the one that is there."""
    RELEASED.mkdir(exist_ok=True)
    data = wheel.read_bytes()
    for old in RELEASED.glob("*.whl"):
        old.unlink()
    (RELEASED / wheel.name).write_bytes(data)
    print(f"kept {wheel.name}, {len(data)} bytes")


def freeze(name: str, sources: Path) -> bool:
    """Copy an example app and its agents; say whether the sources have it."""
    example = sources / "examples" / name
    if not (example / "app.py").is_file():
        return False
    target = RELEASED / "apps" / name
    for path in [example / "app.py", *sorted((example / APPS[name]).rglob("*.py"))]:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        text = "".join(line for line in lines if not _acknowledges(line))
        if "examples." in re.sub(r'""".*?"""', "", text, flags=re.DOTALL):
            raise ValueError(f"{path} must import nothing of the project but its constructs, once frozen")
        (target / path.relative_to(example)).parent.mkdir(parents=True, exist_ok=True)
        (target / path.relative_to(example)).write_text(HEADER + text, encoding="utf-8")
    print(f"froze {name}")
    return True


def _acknowledges(line: str) -> bool:
    return "import acknowledge" in line or line.strip().startswith("acknowledge(")


def write_contract(wheel: Path) -> None:
    """Ask scripts/contract.py what the wheel promises."""
    with tempfile.TemporaryDirectory() as unpacked:
        zipfile.ZipFile(wheel).extractall(unpacked)
        command = [sys.executable, "-m", "scripts.contract", str(Path(unpacked) / "ak_constructs")]
        found = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    (RELEASED / "contract.json").write_text(found, encoding="utf-8")
    print("wrote contract.json")


@contextlib.contextmanager
def _checkout(commit: str) -> Iterator[Path]:
    """Have the files of a commit in a folder for a while."""
    with tempfile.TemporaryDirectory() as folder:
        sources = Path(folder) / "sources"
        subprocess.run(["git", "worktree", "add", "-q", "--detach", sources, commit], cwd=ROOT, check=True)
        try:
            yield sources
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", sources], cwd=ROOT, check=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
