"""Borrows a Python that is not here from Debian's unstable suite, beside the system's own: nothing is installed."""

import re
import shutil
import subprocess
from pathlib import Path

KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SOURCE = f"deb [signed-by={KEYS}] http://deb.debian.org/debian sid main\n"
# Whatever this machine's own settings allow: apt then takes nothing that the key above has not signed, nor old lists.
SIGNED = (
    "Acquire::AllowInsecureRepositories=false",
    "Acquire::AllowWeakRepositories=false",
    "Acquire::AllowDowngradeToInsecureRepositories=false",
    "Acquire::Check-Valid-Until=true",
    "APT::Get::AllowUnauthenticated=false",
)
NO_OTHERS = ["--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks", "--no-replaces", "--no-enhances"]


def borrow(version: str, folder: Path, source: str = SOURCE) -> list[str] | None:
    """Unpack a Python and its libraries, and give the command that starts it; None where that does not work."""
    if not KEYS.is_file() or not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        return None
    apt, root = folder / "apt", folder / "root"
    for name in ("lists/partial", "archives/partial"):
        (apt / name).mkdir(parents=True)
    (apt / "sources.list").write_text(source, encoding="utf-8")
    dirs = {"Etc::sourcelist": "sources.list", "State::lists": "lists", "Cache": ".", "Cache::archives": "archives"}
    options = ["-qq", "-o", "Dir::Etc::sourceparts=/dev/null", "-o", "APT::Sandbox::User="]
    options += [part for setting in SIGNED for part in ("-o", setting)]
    options += [part for name, path in dirs.items() for part in ("-o", f"Dir::{name}={apt / path}")]
    try:
        _run(apt, "apt-get", *options, "update")
        needed = _run(apt, "apt-cache", *options, "depends", "--recurse", *NO_OTHERS, f"python{version}")
        libraries = re.findall(rf"^(lib[\w.+-]+|zlib1g|python{re.escape(version)}[\w-]*)$", needed, flags=re.MULTILINE)
        _run(apt, "apt-get", *options, "download", *sorted(set(libraries)))
        for package in apt.glob("*.deb"):
            _run(apt, "dpkg-deb", "-x", str(package), str(root))
        (libraries_folder,) = (root / "usr" / "lib").glob("*-linux-gnu")
        (loader,) = libraries_folder.glob("ld-linux-*.so.*")
        command = [str(loader), "--library-path", str(libraries_folder), str(root / "usr" / "bin" / f"python{version}")]
        _run(apt, *command, "-c", "import ssl")
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired, ValueError):
        return None
    return command


def _run(folder: Path, *command: str) -> str:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=60).stdout
