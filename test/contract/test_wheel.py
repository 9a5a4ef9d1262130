"""The wheel that users install."""

import base64
import email
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from scripts import contents, sbom
from scripts.project import ROOT, build, uv
from test.contract.stranger import Stranger

MIT = "Permission is hereby granted, free of charge, to any person obtaining a copy"  # some have the whole text
SPELLED = {"Apache License 2.0": "Apache-2.0", "Dual License": "BSD-3-Clause"}  # the latter with Apache-2.0


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Stranger:
    """Install the wheel in an empty environment elsewhere."""
    return Stranger.install(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build what others build the wheel from."""
    return build(tmp_path_factory.mktemp("sdist"), "--sdist")


@pytest.fixture(scope="module")
def assemblies(stranger: Stranger, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """Synthesize each app with the wheel, byte-compiled as pip does, and with the checkout."""
    subprocess.run([stranger.python, "-m", "compileall", "-q", stranger.package], check=True)
    out = tmp_path_factory.mktemp("assemblies")
    return {
        app: (
            stranger.synth(out / f"theirs-{app}", app=app),
            stranger.synth(out / f"ours-{app}", app=app, checkout=True),
        )
        for app in ("app.py", "redis_app.py")
    }


def test_the_distributions_hold_what_is_listed(stranger: Stranger, sdist: Path) -> None:
    """And nothing else: what is published cannot be taken back."""
    listed = contents.LIST.read_text(encoding="utf-8").splitlines()
    built = contents.contents(stranger.wheel, sdist).splitlines()
    differing = sorted(set(listed) ^ set(built))
    assert listed == built, f"run `uv run python -m scripts.contents` if these are meant to differ: {differing}"
    assert "wheel ak_constructs/py.typed" in listed


def test_the_wheel_lists_what_it_needs_and_what_it_installs(stranger: Stranger) -> None:
    """In CycloneDX, where PEP 770 puts it: for layers and tools each file that an index may hand out, by hash."""
    with zipfile.ZipFile(stranger.wheel) as wheel:
        listed = json.loads(wheel.read(f"{stranger.dist_info}/sboms/ak-constructs.cdx.json"))
        metadata = email.message_from_bytes(wheel.read(f"{stranger.dist_info}/METADATA"))
        locks = [name for name in wheel.namelist() if name.endswith("/requirements.txt")]
        pins = "".join(wheel.read(name).decode() for name in locks)
        npm = json.loads(wheel.read("ak_constructs/local/package-lock.json"))["packages"]
    assert listed == sbom.sbom(), "run `uv run projen docs`"
    component = listed["metadata"]["component"]
    assert (component["name"], component["version"]) == (metadata["Name"], metadata["Version"])
    packages = {each["name"]: each for each in listed["components"]}
    needed = {re.split(r"[^a-z0-9-]", requirement)[0] for requirement in metadata.get_all("Requires-Dist", [])}
    installed = set(re.findall(r"^([a-z0-9-]+)==", pins, flags=re.MULTILINE)) | {"aws-cdk"}
    assert set(packages) == needed | installed > {"redis", "ministack"}
    assert len({each["bom-ref"] for each in listed["components"]}) == len(listed["components"])
    digests = {digest["content"] for each in listed["components"] for digest in each.get("hashes", [])}
    command_line = npm["node_modules/aws-cdk"]["integrity"].removeprefix("sha512-")
    assert digests == {*re.findall(r"--hash=sha256:(\w+)", pins), base64.b64decode(command_line).hex()}
    here = {each.name.lower() for each in importlib.metadata.distributions()}
    assert needed <= here
    for name in here & set(packages):
        theirs = importlib.metadata.metadata(name)
        licenses = {sbom.LICENSES[name], f"{sbom.LICENSES[name]} License"}
        said = {
            theirs["License-Expression"],
            SPELLED.get(theirs["License"] or "", theirs["License"]),
            *(["MIT"] if MIT in (theirs["License"] or "") else []),
        }
        assert licenses & said, name


def test_a_stranger_without_the_extra_is_told_how_to_get_the_command(stranger: Stranger) -> None:
    """Constructs need no boto3, so the wheel does not bring it."""
    command = [str(stranger.python.parent / "ak-prune"), "--dry-run"]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    said = "ak-prune needs boto3 and rich: pip install 'ak-constructs[prune]'\n"
    assert (told.returncode, told.stdout, told.stderr) == (2, "", said)


def test_two_builds_are_the_same_to_the_last_byte(stranger: Stranger, sdist: Path, tmp_path: Path) -> None:
    """Elsewhere, by somebody with another umask, from the sdist alone: so anybody can prove where a wheel is from."""
    umask = os.umask(0o077)
    try:
        with tarfile.open(sdist) as archive:
            archive.extractall(tmp_path / "unpacked", filter="data")
        (source,) = (tmp_path / "unpacked").iterdir()
        for path in source.rglob("*"):
            os.utime(path, (1_000_000_000, 1_000_000_000))
        again = {kind: build(tmp_path / "again", kind, source=source) for kind in ("--wheel", "--sdist")}
    finally:
        os.umask(umask)
    assert again["--wheel"].read_bytes() == stranger.wheel.read_bytes()
    assert again["--sdist"].read_bytes() == sdist.read_bytes()


def test_pypi_takes_the_metadata(stranger: Stranger, sdist: Path) -> None:
    """A newer version of it is known to who builds before it is known to who uploads."""
    ran = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", stranger.wheel, sdist],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
    with zipfile.ZipFile(stranger.wheel) as wheel:
        metadata = email.message_from_bytes(wheel.read(f"{stranger.dist_info}/METADATA"))
    assert metadata["Metadata-Version"] == "2.4"


def test_a_strangers_synth_gives_the_checkouts_asset_hashes(
    stranger: Stranger, assemblies: dict[str, tuple[Path, Path]]
) -> None:
    """Elsewhere, from the wheel, byte-compiled as pip does: a change of machine must not redeploy."""
    assert list(stranger.package.rglob("_lambda/**/*.pyc"))
    theirs, ours = assemblies["app.py"]
    assert sorted(path.name for path in theirs.glob("asset.*")) == sorted(path.name for path in ours.glob("asset.*"))
    assert len(list(theirs.glob("asset.*"))) == 2


def test_a_stranger_gets_the_checkouts_redis_client(assemblies: dict[str, tuple[Path, Path]]) -> None:
    """Installed from the pins in the wheel, by the stranger's own uv."""
    theirs, ours = assemblies["redis_app.py"]
    (their_layer,), (our_layer,) = theirs.glob("asset.*"), ours.glob("asset.*")
    assert their_layer.name == our_layer.name
    files = [path.relative_to(our_layer) for path in our_layer.rglob("*") if path.is_file()]
    assert Path("python/redis/__init__.py") in files
    (described,) = our_layer.glob("python/redis-*.dist-info/METADATA")
    (redis,) = (each for each in sbom.sbom()["components"] if each["name"] == "redis")
    own = email.message_from_bytes(described.read_bytes())
    assert (own["Version"], own["License-Expression"]) == (redis["version"], redis["licenses"][0]["expression"])
    assert all((their_layer / name).read_bytes() == (our_layer / name).read_bytes() for name in files)


def test_a_strangers_templates_pass_cfn_lint(assemblies: dict[str, tuple[Path, Path]]) -> None:
    """Without any finding but CDK's own habit of naming a dependency twice (W3005)."""
    templates = [theirs / "Stranger.template.json" for theirs, _ in assemblies.values()]
    lint = subprocess.run(
        [uv(), "run", "--no-sync", "cfn-lint", "--ignore-checks", "W3005", "--", *templates],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (lint.returncode, lint.stdout) == (0, "")
