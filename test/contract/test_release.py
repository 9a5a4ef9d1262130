"""The workflows that check and publish: what they may, what they run, and what they run it with."""

import datetime as dt
import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from ak_constructs.local.environment import make_environment
from scripts import release_notes, upgrade
from scripts.release_notes import ReleaseError, notes

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
REPOSITORY = "https://github.com/ak-constructs/ak-constructs"
LOCAL = "./.github/workflows/ci.yml"
PINNED = re.compile(r"^[a-z-]+/[a-z-]+@[0-9a-f]{40}$")
MAY = {  # beyond reading the sources
    "attest": {"attestations": "write", "id-token": "write"},
    "testpypi": {"id-token": "write"},
    "pypi": {"id-token": "write"},
    "github": {"contents": "write"},
    "pages": {"id-token": "write", "pages": "write"},
}
TODAY = dt.date(2026, 11, 22)
CHANGELOG = (
    "# Changelog\n\n## Unreleased\n\n## 0.2.0 - 2026-11-21\n\n### Added\n\n- B.\n\n## 0.1.0 - 2026-01-01\n\n- A.\n"
)


def workflow(name: str) -> dict[str, Any]:
    """Read one; YAML 1.1 takes the key `on` for true."""
    read: dict[str | bool, Any] = yaml.safe_load(
        (ROOT / ".github" / "workflows" / f"{name}.yml").read_text(encoding="utf-8")
    )
    return {"on" if key is True else str(key): value for key, value in read.items()}


def jobs() -> list[Any]:
    """Give every job with its name."""
    return [
        pytest.param(name, job, id=f"{path.stem}-{name}")
        for path in WORKFLOWS
        for name, job in workflow(path.stem)["jobs"].items()
    ]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_nothing_but_what_its_jobs_say(path: Path) -> None:
    """And is not started by what strangers write with the repository's own permissions."""
    read = workflow(path.stem)
    assert read["permissions"] == {}
    assert "group" in read["concurrency"]
    assert set(read["on"]) <= {"push", "pull_request", "workflow_call"}


def test_a_release_begins_with_a_tag_and_is_not_interrupted() -> None:
    """Half of one is worse than none."""
    assert workflow("release")["on"] == {"push": {"tags": ["v*"]}}
    assert workflow("release")["concurrency"] == {"group": "release", "cancel-in-progress": False}


@pytest.mark.parametrize(("name", "job"), jobs())
def test_a_job_may_the_least_and_ends(name: str, job: dict[str, Any]) -> None:
    """Only those that publish may write, and these run none of our code."""
    assert job["permissions"] == MAY.get(name, {"contents": "read"})
    assert job.get("uses") == LOCAL or 0 < job["timeout-minutes"] <= 60
    if name in MAY:
        assert not [step for step in job["steps"] if "checkout" in step.get("uses", "")]
    assert "secrets" not in job
    assert job.get("runs-on", "") != "ubuntu-latest"


@pytest.mark.parametrize(("name", "job"), jobs())
def test_every_action_is_pinned_by_its_commit(name: str, job: dict[str, Any]) -> None:
    """A tag can be moved; the comment beside it is for people, and for what proposes newer ones."""
    texts = "".join(path.read_text(encoding="utf-8") for path in WORKFLOWS)
    for step in job.get("steps", [job]):
        if "uses" not in step:
            continue
        assert step["uses"] == LOCAL or PINNED.match(step["uses"]), name
        if step["uses"] != LOCAL:
            assert re.search(rf"uses: {re.escape(step['uses'])} # v\d+\.\d+\.\d+\n", texts), step["uses"]
        if "checkout" in step["uses"]:
            assert step["with"] == {"persist-credentials": False}


def test_one_action_has_one_version() -> None:
    """In all workflows."""
    used = set(re.findall(r"uses: (\S+@\S+ # v\S+)", "".join(path.read_text(encoding="utf-8") for path in WORKFLOWS)))
    assert len({each.partition("@")[0] for each in used}) == len(used)


@pytest.mark.parametrize(("name", "job"), jobs())
def test_what_is_run_contains_nothing_that_github_fills_in(name: str, job: dict[str, Any]) -> None:
    """The name of a branch can be a command; the environment is never read as one."""
    for step in job.get("steps", []):
        assert "${{" not in step.get("run", ""), name
        assert "secrets." not in str(step)


def test_nothing_is_published_that_did_not_pass() -> None:
    """TestPyPI first; the checks of CI, the site and the attestations before it."""
    needs = {name: job.get("needs", []) for name, job in workflow("release")["jobs"].items()}

    def before(name: str) -> set[str]:
        direct = {needs[name]} if isinstance(needs[name], str) else set(needs[name])
        return direct.union(*map(before, direct))

    assert before("pypi") == {"notes", "build", "checks", "site", "attest", "testpypi"}
    assert "pypi" in before("github") & before("pages")
    release = workflow("release")["jobs"]
    assert release["checks"]["uses"] == LOCAL
    assert {release[name]["environment"] for name in ("testpypi", "pypi", "pages")} == {
        "testpypi",
        "pypi",
        "github-pages",
    }


@pytest.mark.parametrize("name", ["attest", "testpypi", "pypi", "github"])
def test_only_what_was_built_is_signed_and_published(name: str) -> None:
    """Any job of a run can put another artifact in the place of one, and `checks` runs the newest of others' code."""
    release = workflow("release")["jobs"]
    assert "build" in release[name]["needs"]
    (checked,) = (at for at, step in enumerate(release[name]["steps"]) if 'sha256sum dist/*)" = "$DIST"' in str(step))
    assert release[name]["steps"][checked]["env"]["DIST"] == "${{ needs.build.outputs.dist }}"
    downloads = [at for at, step in enumerate(release[name]["steps"]) if "download-artifact" in step.get("uses", "")]
    assert max(downloads) < checked == len(downloads) < len(release[name]["steps"]) - 1


def test_another_file_beside_what_was_built_or_in_its_place_ends_a_release(tmp_path: Path) -> None:
    """As the steps do it, in a shell."""
    release = workflow("release")["jobs"]
    (say,) = (step["run"] for step in release["build"]["steps"] if step.get("id") == "sums")
    (check,) = (step["run"] for step in release["pypi"]["steps"] if "run" in step)
    (tmp_path / "dist").mkdir()
    for name in ("dist/a.whl", "dist/a.tar.gz", "ak-constructs.cdx.json"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    output = tmp_path / "output"

    def shell(command: str, **environment: str) -> int:
        bash = ["bash", "-e", "-c", command]
        settings = {"PATH": os.environ["PATH"], **environment}
        return subprocess.run(bash, cwd=tmp_path, env=settings, capture_output=True, check=False).returncode

    assert shell(say, GITHUB_OUTPUT=str(output)) == 0
    built = output.read_text(encoding="utf-8").partition("dist<<END\n")[2].partition("\nEND\nsbom=")[0]
    assert shell(check, DIST=built) == 0
    (tmp_path / "dist" / "b.whl").write_text("", encoding="utf-8")
    assert shell(check, DIST=built) == 1
    (tmp_path / "dist" / "b.whl").unlink()
    (tmp_path / "dist" / "a.whl").write_text("other", encoding="utf-8")
    assert shell(check, DIST=built) == 1


def test_what_is_installed_in_a_workflow_has_hashes() -> None:
    """What builds the wheel, too."""
    text = "".join(path.read_text(encoding="utf-8") for path in WORKFLOWS)
    installing = re.findall(r"^.*\b(?:pip install|pip sync|uv build)\b.*$", text, re.MULTILINE)
    assert len(installing) == 7
    assert all("--require-hashes" in line for line in installing)
    assert not re.search(r"\b(?:npx|uvx|pipx|curl|wget)\b", text)
    pinned = (ROOT / "scripts" / "requirements-build.txt").read_text(encoding="utf-8")
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    assert [each for each in wanted if f"{each} \\\n" not in pinned] == []


def test_every_task_and_script_of_a_workflow_is_there() -> None:
    """A release must not be the first to notice."""
    text = "".join(path.read_text(encoding="utf-8") for path in WORKFLOWS)
    tasks = (ROOT / ".projen" / "tasks.json").read_text(encoding="utf-8")
    assert {f'"{name}": {{' in tasks for name in re.findall(r"uv run projen (\w+)", text)} == {True}
    scripts = set(re.findall(r"python3? -m scripts\.(\w+)", text))
    assert scripts == {"matrix", "release_notes"}
    assert (ROOT / ".ci" / "run").is_file()


def test_zizmor_finds_nothing() -> None:
    """A program that knows more of such mistakes than this file."""
    program = make_environment(ROOT / "scripts" / "requirements-zizmor.txt").with_name("zizmor")
    ran = subprocess.run(
        [program, "--offline", "--no-progress", ROOT / ".github"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_notes_are_the_section_of_the_changelog() -> None:
    """Without its heading, and without the next."""
    assert notes("v0.2.0", version="0.2.0", changelog=CHANGELOG, today=TODAY) == "### Added\n\n- B.\n"
    assert notes("v0.1.0", version="0.1.0", changelog=CHANGELOG, today=TODAY) == "- A.\n"
    linked = CHANGELOG.replace("## 0.2.0", "## [0.2.0]")
    assert notes("v0.2.0", version="0.2.0", changelog=linked, today=TODAY) == "### Added\n\n- B.\n"


@pytest.mark.parametrize(
    ("tag", "version", "old", "new", "said"),
    [
        ("v0.2.1", "0.2.0", "", "", "the tag must be v0.2.0"),
        ("0.2.0", "0.2.0", "", "", "the tag must be v0.2.0"),
        ("v0.2.0.dev0", "0.2.0.dev0", "", "", "must be like 1.2.3"),
        ("v0.3.0", "0.3.0", "", "", "must have one section 0.3.0, got 0"),
        ("v0.2.0", "0.2.0", "0.1.0", "0.2.0", "must have one section 0.2.0, got 2"),
        ("v0.2.0", "0.2.0", " - 2026-11-21", "", "must have a date, got None"),
        ("v0.2.0", "0.2.0", "2026-11-21", "soon", "must have a date, got soon"),
        ("v0.2.0", "0.2.0", "2026-11-21", "2026-11-23", "must have a day that has been, got 2026-11-23"),
        ("v0.2.0", "0.2.0", "### Added\n\n- B.\n", "", "must say something"),
        ("v0.2.0", "0.2.0", "Unreleased\n", "Unreleased\n\n- C.\n", "must have nothing under Unreleased"),
    ],
)
def test_fails_when_a_tag_is_not_what_the_project_says(tag: str, version: str, old: str, new: str, said: str) -> None:
    """Before anything is built."""
    with pytest.raises(ReleaseError, match=said):
        notes(tag, version=version, changelog=CHANGELOG.replace(old, new, 1), today=TODAY)


def test_a_wrong_tag_ends_the_workflow(capsys: pytest.CaptureFixture[str]) -> None:
    """By the status of the command."""
    assert release_notes.main(["v99.0.0"]) == 1
    assert capsys.readouterr().err.startswith(("the tag must be", "a released version must be"))


def test_the_page_for_maintainers_has_every_job() -> None:
    """In the order in which they run, and says that it is done by hand what is."""
    text = (ROOT / "docs" / "releasing.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) == list(workflow("release")["jobs"])
    staying = text.partition("What it leaves alone")[2].partition("\n\n")[0]
    assert all(f"{name}" in staying for name in upgrade.STAYING)
    environments = {job["environment"] for job in workflow("release")["jobs"].values() if "environment" in job}
    assert all(f"`{name}`" in text.partition("## Set up once")[2] for name in environments)


@pytest.mark.parametrize("name", ["bug", "feature"])
def test_an_issue_is_asked_for_what_answers_it(name: str) -> None:
    """By a form that GitHub takes: it knows these keys and no others."""
    form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / f"{name}.yml").read_text(encoding="utf-8"))
    assert set(form) == {"name", "description", "labels", "body"}
    ids = [each["id"] for each in form["body"] if each["type"] != "markdown"]
    assert len(ids) == len(set(ids))
    assert {each["type"] for each in form["body"]} <= {"markdown", "textarea", "input"}
    for each in form["body"]:
        assert set(each) <= {"type", "id", "attributes", "validations"}
        assert set(each["attributes"]) <= {"label", "description", "render", "value"}
    if name == "bug":
        assert {"version", "cdk", "python", "app", "template"} <= set(ids)
        assert "Leave out secrets" in form["body"][0]["attributes"]["value"]


def test_questions_and_vulnerabilities_are_led_elsewhere() -> None:
    """An empty issue asks for nothing, so there is none."""
    settings = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / "config.yml").read_text(encoding="utf-8"))
    assert settings["blank_issues_enabled"] is False
    places = [link["url"].removeprefix(REPOSITORY) for link in settings["contact_links"]]
    assert places == ["/security/advisories/new", "/discussions"]


def test_dependabot_moves_actions_only() -> None:
    """The other pins have a command of their own."""
    settings = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text(encoding="utf-8"))
    assert [each["package-ecosystem"] for each in settings["updates"]] == ["github-actions"]
