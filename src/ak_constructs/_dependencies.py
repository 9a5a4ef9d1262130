"""Installs a user's pinned dependencies for Lambda's platform, with uv and without Docker."""

import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ak_constructs._limits import LAMBDA_UNZIPPED_BYTES

# In every managed Python runtime; left out of a package unless the user pins them, to keep it small and to cold start
# faster. https://docs.aws.amazon.com/lambda/latest/dg/python-package.html, read 2026-11-21
RUNTIME_PACKAGES = frozenset({"boto3", "botocore", "jmespath", "python-dateutil", "s3transfer", "six", "urllib3"})

_PINNED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*===?\s*[^\s;*]+\s*(?:;.*)?")
# Written by the installer, different on every machine, and of no use in Lambda.
_INSTALLERS_OWN = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Platform:
    """Where the dependencies will run.

    Attributes:
        machine: As in a wheel's tag: `aarch64` or `x86_64`.
        python: Major and minor version.
    """

    machine: str
    python: str

    @property
    def tag(self) -> str:
        """What uv calls it; up to Python 3.11 Lambda runs on Amazon Linux 2 with an older C library."""
        return f"{self.machine}-{'manylinux_2_28' if self.version >= (3, 12) else 'manylinux2014'}"

    @property
    def version(self) -> tuple[int, ...]:
        """The Python version, to compare."""
        return tuple(map(int, self.python.split(".")))


def find_dependencies(entry: Path) -> Path | None:
    """Find the file that pins an agent's dependencies; None when there is nothing to install.

    Raises ValueError when something is not pinned: what was tested must be what is deployed.
    """
    requirements, project, lock = (entry / name for name in ("requirements.txt", "pyproject.toml", "uv.lock"))
    if requirements.is_file():
        return requirements if list(_check_pinned(requirements)) else None
    if not project.is_file():
        return None
    settings = tomllib.loads(_read(project)).get("project", {})
    if not settings.get("dependencies"):
        return None
    if not lock.is_file():
        raise ValueError(f"{project} has dependencies but no lock beside it; run `uv lock` there")
    _check_lock(settings["dependencies"], lock)
    return lock


def install(pins: Path, target: Path, platform: Platform) -> None:
    """Install what a file pins into a folder, for a platform that need not be this one's."""
    started = time.perf_counter()
    requirements = _text(pins)
    pinned = set(_pinned_names(requirements))
    print(  # noqa: T201 - the CDK command line shows it while the user waits
        f"ak-constructs: installing {pins} for {platform.tag}, Python {platform.python}",
        file=sys.stderr,
        end=" ... ",
        flush=True,
    )
    left_out = RUNTIME_PACKAGES - pinned
    work = target.parent / f"{target.name}.requirements"
    work.mkdir()
    try:
        (work / "requirements.txt").write_text(requirements, encoding="utf-8")
        (work / "left-out.txt").write_text("\n".join(sorted(left_out)), encoding="utf-8")
        command = ["pip", "install", "--quiet", "--target", str(target), "--python", sys.executable]
        command += ["--python-platform", platform.tag, "--python-version", platform.python]
        command += ["--only-binary", ":all:", "--link-mode", "copy"]
        if all("--hash" in line for line in _lines(requirements)):
            command.append("--require-hashes")  # or a variable or a file of uv's could say not to look at them
        command += ["--requirements", str(work / "requirements.txt"), "--excludes", str(work / "left-out.txt")]
        _uv(command, f"{pins} cannot be installed for {platform.tag}, Python {platform.python}", _ways_out(pins))
    finally:
        shutil.rmtree(work)
    _check_complete(pins, target, pinned, platform)
    _scrub(target)
    print(f"{time.perf_counter() - started:.1f} s", file=sys.stderr)  # noqa: T201


def check_size(folder: Path) -> None:
    """Raise when a package is larger than Lambda takes."""
    sizes: dict[str, int] = {}
    for path in folder.rglob("*"):
        if path.is_file():
            top = path.relative_to(folder).parts[0]
            sizes[top] = sizes.get(top, 0) + path.stat().st_size
    total = sum(sizes.values())
    if total > LAMBDA_UNZIPPED_BYTES:
        largest = ", ".join(f"{top} {size / 1e6:.0f} MB" for size, top in _largest(sizes))
        raise ValueError(
            f"the package must be at most {LAMBDA_UNZIPPED_BYTES / 1e6:.0f} MB unzipped, got {total / 1e6:.0f} MB "
            f"({largest}); leave something out, or use a container image: code=lambda_.Code.from_asset_image(...)"
        )


def _largest(sizes: dict[str, int]) -> list[tuple[int, str]]:
    return sorted(((size, top) for top, size in sizes.items()), reverse=True)[:5]


def _read(file: Path) -> str:
    """Read what an editor or a shell of any system wrote, or say what else it must be."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{file} must be UTF-8, got other text (PowerShell writes UTF-16); save it as UTF-8") from None


def _lines(text: str) -> Iterator[str]:
    """Give the requirements of a file, each in one line, without comments."""
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        stripped = re.sub(r"(^|\s)#.*$", "", line).strip()
        if stripped:
            yield stripped


def _check_pinned(requirements: Path) -> Iterator[str]:
    for line in _lines(_read(requirements)):
        requirement = re.sub(r"\s+--hash[= ]\S+", "", line)
        if not _PINNED.fullmatch(requirement):
            raise ValueError(
                f"{requirements} must pin every package by ==, got {requirement!r}; keep what you want in "
                f"requirements.in and run `uv pip compile --universal --generate-hashes requirements.in "
                f"-o requirements.txt`"
            )
        yield requirement


def _check_lock(dependencies: list[str], lock: Path) -> None:
    """Raise when a dependency was added or removed since the lock was made."""
    wanted = {_name(dependency) for dependency in dependencies}
    packages = tomllib.loads(_read(lock)).get("package", [])
    locked = [
        {_normalised(requirement["name"]) for requirement in package.get("metadata", {}).get("requires-dist", [])}
        for package in packages
        if package.get("source", {}).keys() & {"virtual", "editable"}
    ]
    if not any(wanted <= names for names in locked):
        raise ValueError(f"{lock} does not have all dependencies of pyproject.toml; run `uv lock` there")


def _text(pins: Path) -> str:
    """Give pins as requirements, exported from a lock where it is one."""
    if pins.name == "requirements.txt":
        return _read(pins)
    command = ["export", "--quiet", "--frozen", "--no-dev", "--no-emit-project", "--no-header", "--no-annotate"]
    command += ["--project", str(pins.parent)]
    return _uv(command, f"{pins} cannot be read", "run `uv lock` there")


def _pinned_names(text: str) -> Iterator[str]:
    for line in _lines(text):
        yield _name(line)


def _check_complete(pins: Path, target: Path, pinned: set[str], platform: Platform) -> None:
    """Raise when something was installed that nobody pinned: tomorrow it would be another version."""
    installed = {path.name.removesuffix(".dist-info").rsplit("-", 1)[0] for path in target.glob("*.dist-info")}
    missing = sorted({_normalised(name) for name in installed} - pinned)
    if missing:
        raise ValueError(
            f"{pins} must pin what its packages need too, got no pin for {', '.join(missing)}; run `uv pip compile "
            f"--python-platform {platform.tag} --python-version {platform.python} --generate-hashes "
            f"requirements.in -o requirements.txt`"
        )


def _scrub(target: Path) -> None:
    """Remove what differs between machines and what Lambda never runs."""
    shutil.rmtree(target / "bin", ignore_errors=True)  # scripts name the builder's interpreter
    (target / ".lock").unlink(missing_ok=True)
    for metadata in target.glob("*.dist-info"):
        for name in _INSTALLERS_OWN:
            (metadata / name).unlink(missing_ok=True)


def _uv(arguments: list[str], problem: str, remedy: str) -> str:
    """Run uv outside any project, whose pins are not meant for this folder, and give what it printed."""
    command, root = [_find_uv(), *arguments], Path(sys.executable).anchor
    done = subprocess.run(command, cwd=root, capture_output=True, encoding="utf-8", check=False)  # noqa: S603
    if done.returncode != 0:
        raise ValueError(f"{problem}; {remedy}\nuv says: {done.stderr.strip()}")
    return done.stdout


def _find_uv() -> str:
    found = shutil.which("uv")
    if found:
        return str(Path(found).absolute())  # a path may be relative, and uv runs elsewhere
    try:
        import uv  # noqa: PLC0415 - only the extra brings it
    except ImportError:
        raise ValueError(
            "uv is needed to install pinned packages; run `pip install 'ak-constructs[bundling]'`"
        ) from None
    return str(uv.find_uv_bin())


def _ways_out(pins: Path) -> str:
    return (
        "without a wheel for that platform choose another version, or another architecture= or runtime=, or install "
        f"in Docker: PythonLayerVersion of aws-cdk.aws-lambda-python-alpha with {pins.name} in a folder of its own, "
        "given as layers=[...]; without a network, fill uv's cache first"
    )


def _name(requirement: str) -> str:
    return _normalised(re.split(r"[\s\[<>=!~;@(]", requirement, maxsplit=1)[0])


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
