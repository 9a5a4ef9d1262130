"""Asks OSV whether anything that is pinned has a known vulnerability: Python packages by pip-audit, npm's directly.

    uv run projen audit

A known vulnerability that scripts/audit_allowed.toml does not accept is a failure. A service that cannot be reached, or
that does not know what everybody knows, is a loud line and no failure: work must go on without a network.
"""

import argparse
import datetime as dt
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from ak_constructs.local.environment import make_environment
from scripts.project import ROOT

OSV = "https://api.osv.dev/v1/query"
ALLOWED = Path(__file__).with_name("audit_allowed.toml")
REQUIREMENTS = Path(__file__).with_name("requirements-audit.txt")
LOCKED = (
    "constraints.txt",
    "requirements*.txt",
    "lambda_assets/*/requirements.txt",
    "src/**/requirements*.txt",
    "scripts/requirements*.txt",
)
CANARY = ("requests", "2.19.0")  # has known vulnerabilities since 2018: CVE-2018-18074
SECONDS = 15
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)

Pin = tuple[str, str]  # name and version


class UnreachableError(Exception):
    """The service does not answer, or does not know what it should."""


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """A known vulnerability that is accepted for a while."""

    id: str
    reason: str
    expires: dt.date


def locked_files() -> list[Path]:
    """Give every file of pins that users or developers install from.

    Those of test/local are not among them: they are another project's, at the releases that ours is compared with.
    """
    return sorted({path for pattern in LOCKED for path in ROOT.glob(pattern) if "cdk.out" not in path.parts})


def python_pins(texts: Iterable[str]) -> set[Pin]:
    """Give every pin, whatever platform it is for."""
    return {(name.lower(), version) for text in texts for name, version in PIN.findall(text)}


def npm_pins(lock: Mapping[str, Mapping[str, Mapping[str, str]]]) -> set[Pin]:
    """Give every package of a package-lock.json."""
    packages = {path.rpartition("node_modules/")[2]: package["version"] for path, package in lock["packages"].items()}
    return {(name, version) for name, version in packages.items() if name}  # without one is this project


def ask(url: str, ecosystem: str, pin: Pin) -> set[str]:
    """Give the ids of what is known of one version."""
    name, version = pin
    query = {"package": {"name": name, "ecosystem": ecosystem}, "version": version}
    try:
        answer = httpx.post(url, json=query, timeout=SECONDS).raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        raise UnreachableError(f"{url}: {error!r}") from error
    return {found["id"] for found in answer.get("vulns", []) if not found.get("withdrawn")}


def check_reachable(url: str) -> None:
    """Raise unless the service knows a vulnerability that it must know: an empty answer looks like a clean one."""
    if not ask(url, "PyPI", CANARY):
        raise UnreachableError(f"{url} knows of no vulnerability in {'=='.join(CANARY)}")


def pip_audit(url: str, pins: Iterable[Pin]) -> dict[str, set[str]]:
    """Give the pins with known vulnerabilities, and every name of each."""
    rounds: list[dict[str, str]] = []  # pip-audit takes a name once
    for name, version in sorted(pins):
        fitting = next((each for each in rounds if name not in each), None)
        if fitting is None:
            rounds.append(fitting := {})
        fitting[name] = version
    return {what: ids for each in rounds for what, ids in _pip_audit(url, each).items()}


def _pip_audit(url: str, pins: Mapping[str, str]) -> dict[str, set[str]]:
    program = make_environment(REQUIREMENTS).with_name("pip-audit")
    with tempfile.TemporaryDirectory() as folder:
        listed, report = Path(folder, "requirements.txt"), Path(folder, "report.json")
        listed.write_text("".join(f"{name}=={version}\n" for name, version in pins.items()), encoding="utf-8")
        command = [str(program), "-r", str(listed), "--disable-pip", "--no-deps", "--progress-spinner", "off"]
        command += ["-s", "osv", "--osv-url", url, "--timeout", str(SECONDS), "--cache-dir", folder]
        command += ["-f", "json", "-o", str(report)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if not report.exists():
            check_reachable(url)  # it may have gone away meanwhile
            raise RuntimeError(f"pip-audit ended with {ran.returncode} and no report: {ran.stderr[-2000:]}")
        dependencies = json.loads(report.read_text(encoding="utf-8"))["dependencies"]
    if skipped := [each["name"] for each in dependencies if "skip_reason" in each]:
        raise UnreachableError(f"{url} could not be asked about {', '.join(skipped)}")
    return {
        f"{each['name']} {each['version']}: {found['id']}": {found["id"], *found["aliases"]}
        for each in dependencies
        for found in each["vulns"]
    }


def npm_audit(url: str, pins: Iterable[Pin]) -> dict[str, set[str]]:
    """Give the same of npm's packages."""
    known = {pin: ask(url, "npm", pin) for pin in sorted(pins)}
    return {f"{' '.join(pin)}: {id_}": {id_} for pin, ids in known.items() for id_ in ids}


def read_allowed(text: str) -> list[Allowed]:
    """Read what is accepted."""
    return [Allowed(**entry) for entry in tomllib.loads(text).get("allowed", [])]


def expired(allowed: Sequence[Allowed], today: dt.date) -> list[str]:
    """Complain of what was accepted for too long, which needs no service."""
    return [f"{each.id} was accepted until {each.expires}: {each.reason}" for each in allowed if each.expires < today]


def judge(found: Mapping[str, set[str]], allowed: Sequence[Allowed]) -> list[str]:
    """Complain of what is not accepted, and of what is accepted in vain."""
    accepted = {each.id for each in allowed}
    known = {id_ for ids in found.values() for id_ in ids}
    vulnerable = [f"{what} is a known vulnerability" for what, ids in found.items() if not ids & accepted]
    return [*vulnerable, *(f"{id_} is accepted and no pin has it" for id_ in sorted(accepted - known))]


def main(arguments: Sequence[str]) -> int:
    """Audit everything that is pinned."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--osv-url", default=OSV)
    parser.add_argument("--allowed", type=Path, default=ALLOWED)
    parser.add_argument("files", nargs="*", type=Path, help="Files of pins. Defaults to all of the project, npm's too.")
    options = parser.parse_args(arguments)
    pins = python_pins(path.read_text(encoding="utf-8") for path in options.files or locked_files())
    lock = {} if options.files else json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))
    from_npm = npm_pins(lock) if lock else set()
    allowed = read_allowed(options.allowed.read_text(encoding="utf-8"))
    complaints = expired(allowed, dt.datetime.now(tz=dt.UTC).date())
    try:
        check_reachable(options.osv_url)
        complaints += judge(pip_audit(options.osv_url, pins) | npm_audit(options.osv_url, from_npm), allowed)
        print(f"audited {len(pins)} pins of Python packages and {len(from_npm)} of npm's")
    except UnreachableError as error:
        print(f"\n*** NOT AUDITED: {len(pins) + len(from_npm)} pins; {error} ***\n")
    print("\n".join(complaints))
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
