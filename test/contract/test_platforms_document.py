"""docs/platforms.md, and what it says of runtimes' ends, are what the code and the pins say."""

import json
import re
import tomllib
from collections.abc import Iterator
from datetime import date, timedelta
from importlib import metadata, resources
from pathlib import Path

from ak_constructs import AgentFunction, _redis_client
from ak_constructs._function import RUNTIME
from ak_constructs._limits import LAMBDA_PYTHON_RUNTIMES
from scripts.matrix import PACKAGES, PYTHONS, floor

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "platforms.md").read_text(encoding="utf-8")
PINS = dict(re.findall(r"^([\w-]+)==([\w.]+)", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE))
YEAR = timedelta(days=365)


def rows(section: str) -> Iterator[list[str]]:
    """Give the rows of a section's table, without its head."""
    text = re.split(r"^## ", DOCUMENT, flags=re.MULTILINE)
    (body,) = [part for part in text if part.startswith(f"{section}\n")]
    for line in [line for line in body.splitlines() if line.startswith("|")][2:]:
        yield [cell.strip() for cell in line.strip("|").split("|")]


def test_the_pythons_are_those_of_the_matrix() -> None:
    """From the lowest that pyproject.toml allows."""
    assert [version for version, _ in rows("Python")] == list(PYTHONS)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == f">={PYTHONS[0]}"


def test_the_range_of_aws_cdk_lib_is_what_is_declared_and_pinned() -> None:
    """The reason for the lowest names it, too."""
    lowest, pinned = (versions for _, *versions in rows("aws-cdk-lib"))
    assert floor() == [f"{name}=={version}" for name, version in zip(PACKAGES, lowest, strict=False)]
    assert pinned == [PINS[name] for name in PACKAGES[:2]]
    assert f"It is {lowest[0]} because" in DOCUMENT


def test_node_is_what_the_pinned_jsii_takes() -> None:
    """As its own program has it: tested, and not at its end when the pins were made."""
    program = resources.files("jsii._embedded.jsii").joinpath("bin__jsii-runtime.js").read_text(encoding="utf-8")
    releases = re.findall(r'NodeRelease\((\d+),\{endOfLife:new Date\("([\d-]+)"\)\}', program)
    (first, ends_first), (second, ends_second) = [each for each in releases if each[1] > pinned_on().isoformat()]
    text = " ".join(DOCUMENT.split())
    version = metadata.version("jsii")
    assert f"jsii {version} takes Node.js {first} (which ends on {ends_first}) and {second} ({ends_second});" in text


def test_the_ends_of_runtimes_are_the_tables_and_those_that_cfn_lint_knows() -> None:
    """cfn-lint copies AWS's page at each of its releases: when a new pin disagrees, read the page again."""
    assert {version: tuple(dates) for version, *dates in rows("Lambda runtimes")} == LAMBDA_PYTHON_RUNTIMES
    file = resources.files("cfnlint").joinpath("data/AdditionalSpecs/LmbdRuntimeLifecycle.json")
    known = json.loads(file.read_text(encoding="utf-8"))
    for version, dates in LAMBDA_PYTHON_RUNTIMES.items():
        theirs = known[f"python{version}"]
        assert dates == tuple(theirs[name] for name in ("deprecated", "create-block", "update-block"))
    assert [f"python{version}" for version in LAMBDA_PYTHON_RUNTIMES] == [
        runtime.name for runtime in _redis_client._RUNTIMES
    ]


def test_our_own_runtime_lives_for_a_year_after_the_pins_were_made() -> None:
    """And no runtime is offered with which AWS lets nobody create functions by then.

    The clock of this test is the newest pin that is a date: an old checkout stays as green as it was, and moving the
    pins, which a release begins with, makes this fail in time.
    """
    ours = RUNTIME.name.removeprefix("python")
    assert date.fromisoformat(LAMBDA_PYTHON_RUNTIMES[ours][0]) - pinned_on() > YEAR
    assert all(date.fromisoformat(blocked) > pinned_on() for _, blocked, _ in LAMBDA_PYTHON_RUNTIMES.values())
    assert f"itself run in Python {ours}." in " ".join(DOCUMENT.split())
    for text in (DOCUMENT, AgentFunction.__doc__ or ""):
        assert f"Python {next(iter(LAMBDA_PYTHON_RUNTIMES))} or later with `entry`;" in text


def pinned_on() -> date:
    """Give the day of the newest pin that is one, such as certifi's."""
    days = [version.split(".") for version in PINS.values() if re.fullmatch(r"20\d\d\.\d+\.\d+", version)]
    return max(date(*map(int, day)) for day in days)
