"""Writes ak-constructs.cdx.json, which the wheel carries: what it needs, and what it installs into layers.

CycloneDX 1.6 without serial number and time: the same inputs give the same file. With --check, fails when it is not up
to date.
"""

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SBOM = ROOT / "ak-constructs.cdx.json"
# As the packages' own metadata say; a test compares them with what is installed.
LICENSES = {
    "aws-cdk-lib": "Apache-2.0",
    "boto3": "Apache-2.0",
    "constructs": "Apache-2.0",
    "redis": "MIT",
    "rich": "MIT",
}
LICENSES |= {"uv": "MIT OR Apache-2.0", "pyjwt": "MIT", "cryptography": "Apache-2.0 OR BSD-3-Clause"}
LICENSES |= {"cffi": "MIT-0", "pycparser": "BSD-3-Clause"}
PIN = re.compile(
    r"^([a-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)(?: ; ([^\\\n]+?))? \\\n((?: {4}--hash=.*\n?)+)", re.MULTILINE
)


def sbom() -> dict[str, Any]:
    """Describe the package, what it declares to need, and the locked contents of its layers."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    purl = f"pkg:pypi/{project['name']}@{project['version']}"
    main = {
        "type": "library",
        "bom-ref": purl,
        "name": project["name"],
        "version": project["version"],
        "purl": purl,
        "licenses": [{"expression": project["license"]}],
    }
    components = [*_declared(project), *_layers()]
    needed = [component["bom-ref"] for component in components]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": main},
        "components": components,
        "dependencies": [{"ref": purl, "dependsOn": needed}, *({"ref": ref} for ref in needed)],
    }


def _declared(project: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Give what pip installs beside the wheel, whose version is the user's to choose within a range."""
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    for extra, requirements in groups.items():
        for requirement in requirements:
            name, versions = re.fullmatch(r"([a-z0-9-]+)(.*)", requirement).groups()  # type: ignore[union-attr]
            properties = {"ak-constructs:requirement": versions} | ({"ak-constructs:extra": extra} if extra else {})
            yield _component(name, properties, scope="optional" if extra else "required")


def _layers() -> Iterator[dict[str, Any]]:
    """Give what is installed into layers, each with the hashes of all files that an index may hand out."""
    for path in sorted((ROOT / "lambda_assets").glob("*/requirements.txt")):
        for name, version, marker, hashes in PIN.findall(path.read_text(encoding="utf-8")):
            properties = {"ak-constructs:layer": path.parent.name}
            properties |= {"ak-constructs:marker": marker} if marker else {}
            contents = re.findall(r"--hash=sha256:([0-9a-f]{64})", hashes)
            digests = [{"alg": "SHA-256", "content": content} for content in contents]
            yield _component(name, properties, scope="required", version=version, hashes=digests)


def _component(name: str, properties: dict[str, str], *, scope: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    purl = f"pkg:pypi/{name}" + (f"@{more['version']}" if "version" in more else "")
    return {
        "type": "library",
        "bom-ref": "|".join([purl, *properties.values()]),
        "name": name,
        **more,
        "scope": scope,
        "purl": purl,
        "licenses": [{"expression": LICENSES[name]}],
        "properties": [{"name": key, "value": value} for key, value in properties.items()],
    }


def main(arguments: list[str]) -> int:
    """Write or check."""
    text = json.dumps(sbom(), indent=2) + "\n"
    if "--check" not in arguments:
        SBOM.write_text(text, encoding="utf-8")
        return 0
    if SBOM.exists() and SBOM.read_text(encoding="utf-8") == text:
        return 0
    print(f"{SBOM.name} is not up to date; run `uv run projen docs`")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
