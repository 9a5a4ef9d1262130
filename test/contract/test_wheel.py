"""The wheel that users install."""

import email
import importlib.metadata
import json
import re
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from scripts import sbom
from test.contract.stranger import ROOT, Stranger, build, uv


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Stranger:
    """Install the wheel in an empty environment elsewhere."""
    return Stranger.install(tmp_path_factory.mktemp("stranger"))


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


def test_the_wheel_carries_the_lambda_code_and_the_types(stranger: Stranger) -> None:
    """And nothing that only developers need."""
    with zipfile.ZipFile(stranger.wheel) as wheel:
        names = wheel.namelist()
    assets = ROOT / "lambda_assets"
    carried = [*assets.rglob("*.py"), *assets.glob("*_layer/requirements.txt")]
    expected = [path.relative_to(ROOT).as_posix() for path in carried]
    assert {f"ak_constructs/{name}" for name in expected} <= set(names)
    assert "ak_constructs/py.typed" in names
    assert {name.split("/")[0] for name in names} == {"ak_constructs", stranger.dist_info}
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]


def test_the_wheel_lists_what_it_needs_and_what_its_layers_bring(stranger: Stranger) -> None:
    """In CycloneDX, where PEP 770 puts it: for a layer each file that an index may hand out, by hash."""
    with zipfile.ZipFile(stranger.wheel) as wheel:
        listed = json.loads(wheel.read(f"{stranger.dist_info}/sboms/ak-constructs.cdx.json"))
        metadata = email.message_from_bytes(wheel.read(f"{stranger.dist_info}/METADATA"))
        layers = [name for name in wheel.namelist() if re.fullmatch(r".*_layer/requirements\.txt", name)]
        pins = "".join(wheel.read(name).decode() for name in layers)
    assert listed == sbom.sbom(), "run `uv run projen docs`"
    component = listed["metadata"]["component"]
    assert (component["name"], component["version"]) == (metadata["Name"], metadata["Version"])
    packages = {each["name"]: each for each in listed["components"]}
    needed = {re.split(r"[^a-z0-9-]", requirement)[0] for requirement in metadata.get_all("Requires-Dist", [])}
    assert set(packages) == needed | set(re.findall(r"^([a-z0-9-]+)==", pins, flags=re.MULTILINE)) > {"redis"}
    digests = {digest["content"] for each in packages.values() for digest in each.get("hashes", [])}
    assert digests == set(re.findall(r"--hash=sha256:(\w+)", pins))
    here = {each.name.lower() for each in importlib.metadata.distributions()}
    assert needed <= here
    for name in here & set(packages):
        theirs = importlib.metadata.metadata(name)
        licenses = {sbom.LICENSES[name], f"{sbom.LICENSES[name]} License"}
        assert licenses & {theirs["License-Expression"], theirs["License"]}, name


def test_a_stranger_without_the_extra_is_told_how_to_get_the_command(stranger: Stranger) -> None:
    """Constructs need no boto3, so the wheel does not bring it."""
    command = [str(stranger.python.parent / "ak-prune"), "--dry-run"]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    said = "ak-prune needs boto3 and rich: pip install 'ak-constructs[prune]'\n"
    assert (told.returncode, told.stdout, told.stderr) == (2, "", said)


def test_the_sdist_builds_the_same_wheel(stranger: Stranger, tmp_path: Path) -> None:
    """From the sdist alone."""
    sdist = build(tmp_path, "--sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (source,) = (tmp_path / "unpacked").iterdir()
    rebuilt = build(tmp_path / "again", "--wheel", source=source)
    with zipfile.ZipFile(rebuilt) as ours, zipfile.ZipFile(stranger.wheel) as theirs:
        assert sorted(ours.namelist()) == sorted(theirs.namelist())


def test_a_strangers_synth_gives_the_checkouts_asset_hashes(
    stranger: Stranger, assemblies: dict[str, tuple[Path, Path]]
) -> None:
    """Elsewhere, from the wheel, byte-compiled as pip does: a change of machine must not redeploy."""
    assert list(stranger.package.rglob("lambda_assets/**/*.pyc"))
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
