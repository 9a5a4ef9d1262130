"""docs/versions.md says what is promised of every public name, and how what goes is warned of."""

import re
import subprocess
import tomllib
from pathlib import Path

import aws_cdk as cdk
import pytest
from constructs import Construct

import ak_constructs
from scripts import compare, contract
from scripts.promises import templates
from scripts.promises.differences import GONE

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "versions.md").read_text(encoding="utf-8")
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
WRITTEN = {
    ".projenrc.py",
    "pyproject.toml",
    "ak-constructs.cdx.json",
    "CHANGELOG.md",
}  # the two in between by the first


def blocks() -> list[str]:
    """Give the document's Python."""
    return re.findall(r"```python\n(.*?)```", DOCUMENT, flags=re.DOTALL)


def test_every_public_name_has_a_stability() -> None:
    """In a table with a reason; what is called stable must say who ran it on AWS."""
    section = DOCUMENT.partition("\n## How stable")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `([\w.]+)` \| (\w+) \| .{20,} \|$", section, flags=re.MULTILINE))
    assert set(rows) == {*ak_constructs.__all__, "ak_constructs.local", "ak_constructs.testing"}
    assert set(rows.values()) <= {"provisional", "experimental"}


def test_the_version_is_written_once() -> None:
    """What needs it asks the package, which has it from .projenrc.py."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [
        file
        for file in listed.split("\0")
        if file.startswith(("src/", "lambda_assets/", "docs/", "README", "scripts/"))
    ]
    number = re.compile(rf"(?<![\w.=-]){re.escape(VERSION.partition('.dev')[0])}(?![\w]|\.\d)")
    said = {file for file in files if number.search((ROOT / file).read_text(encoding="utf-8", errors="replace"))}
    assert files
    assert said - WRITTEN == set()
    assert f'VERSION = "{VERSION}"' in (ROOT / ".projenrc.py").read_text(encoding="utf-8")


def test_every_kind_of_promise_is_explained() -> None:
    """To who reads the contract, to whom it breaks, and to who asks what counts."""
    promised = contract.parsed((compare.RELEASED / "contract.json").read_text(encoding="utf-8"))
    uses = contract.expanded(promised["constructs"])
    kinds = {line.split()[0] for by_use in uses.values() for lines in by_use.values() for line in lines}
    assert kinds == {*GONE, "runs"}  # the last only says whose the settings are
    assert {kind for kind in kinds if not re.search(rf"\b{kind} [A-Z]", str(templates.__doc__))} == set()
    for word in ("logical ids", "replaces", "Retain", "environment variables", "permissions", "routes", "metrics"):
        assert word in DOCUMENT, word


def test_what_goes_is_warned_of_where_it_is_called_and_where_it_is_synthesized(stack: cdk.Stack) -> None:
    """The document's own code, as if it were the library's; the new form warns nobody."""
    mechanism, greeter_class, acknowledged = blocks()
    names: dict[str, object] = {"__name__": "ak_constructs._deprecation"}
    exec(compile(mechanism + greeter_class, "_deprecation.py", "exec"), names)  # noqa: S102 - our own documentation
    define: type[Construct] = names["Greeter"]  # type: ignore[assignment]
    new = define(stack, "New", greeting="Hi")  # type: ignore[call-arg]
    with pytest.warns(
        DeprecationWarning, match=r"^Greeter.text is deprecated since 0.2 .* 0.3; say `greeting`$"
    ) as said:
        greeter = define(stack, "Old", text="Hi")  # type: ignore[call-arg]
    assert said[0].filename == __file__
    assert "ak-constructs:deprecated.Greeter.text" in str([entry.data for entry in greeter.node.metadata])
    assert not new.node.metadata
    exec(acknowledged, {"cdk": cdk, "greeter": greeter})  # noqa: S102
    assert "Greeter.text" not in str([entry.data for entry in greeter.node.metadata])
