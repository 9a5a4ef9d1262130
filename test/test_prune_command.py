"""`ak-prune`: what a person sees, and what the command does to an account."""

import logging
import os
import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import NoRegionError, ProfileNotFound

from ak_constructs import _prune_command
from ak_constructs import version_pruner as construct
from ak_constructs._lambda_assets import lambda_assets
from ak_lambda.version_pruner import __main__ as command
from test.lambda_assets.fake_lambda import (
    ACCOUNT,
    REGION,
    FakeLambda,
    FaultError,
    VirtualTime,
    arn,
    session_without_files,
)

MANAGED = {"LambdaManagedInstancesCapacityProviderConfig": {"CapacityProviderArn": "x"}}
PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeLambda:
    """Make an account with one function, which the command's session speaks to."""
    fake = FakeLambda()
    fake.add("agent", 1, 2, 9, 10, 100, CodeSize=2_500_000)
    fake.functions["agent"].aliases["live"] = {"Name": "live", "FunctionVersion": "2"}

    heard = fake.heard(session_without_files())

    def session(*, profile_name: str | None, region_name: str | None) -> boto3.Session:
        assert (profile_name, region_name) in {(None, None), ("people", REGION)}
        return heard

    monkeypatch.setattr(boto3, "Session", session)
    return fake


def rows(text: str) -> list[list[str]]:
    """Give the cells of a printed table."""
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if line.startswith("│")]


def test_the_plan_is_a_table_with_totals(fake: FakeLambda, capsys: pytest.CaptureFixture[str]) -> None:
    """The same plan as the function's, with the reasons; nothing is deleted."""
    assert command.main(["agent", "--dry-run", "--keep-latest", "2", "--profile", "people", "--region", REGION]) == 0
    told = capsys.readouterr()
    assert [[row[1], row[3], row[4], row[5]] for row in rows(told.out)] == [
        ["2", "2.5 MB", "kept", "alias live"],
        ["10", "2.5 MB", "kept", "newest"],
        ["100", "2.5 MB", "kept", "newest"],
        ["1", "2.5 MB", "would delete", ""],
        ["9", "2.5 MB", "would delete", ""],
    ]
    totals = "would delete: 2 versions, 5.0 MB; kept: 3; code storage: 15.0 MB of 1.0 MB used, 1500.0 %"
    assert totals in told.out
    assert (told.err, len(fake.numbered())) == ("", 5)
    assert told.out.splitlines()[0] == f"account {ACCOUNT}, region {REGION}"


def test_nothing_is_done_with_credentials_that_aws_does_not_take(
    fake: FakeLambda, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those of an old session, for one."""

    def faults(operation: str, _function: str) -> None:
        if operation == "GetCallerIdentity":
            raise FaultError(403, "ExpiredToken")

    fake.faults = faults
    assert command.main(["agent", "--delete"]) == 2
    assert re.fullmatch(
        r"ak-prune: AWS did not take the credentials \(GetCallerIdentity: ExpiredToken\); log in again, .* --profile\n",
        capsys.readouterr().err,
    )
    assert len(fake.numbered()) == 5


def test_delete_deletes(fake: FakeLambda, capsys: pytest.CaptureFixture[str]) -> None:
    """As the function would."""
    assert command.main([arn("agent"), "--delete", "--keep-latest", "2"]) == 0
    assert "deleted: 2 versions, 5.0 MB; kept: 3" in capsys.readouterr().out
    assert {version for _, version in fake.numbered()} == {"2", "10", "100"}
    assert fake.parameters == {}, "the cursor is the function's"


def test_functions_are_found_by_capacity_provider_and_by_tags(
    fake: FakeLambda, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the options of a construct."""
    fake.add("pooled", 1, 2, 3, State="Active", CapacityProviderConfig=MANAGED)
    fake.functions["pooled"].tags.update(team="agents", stage="dev")
    assert command.main(["--capacity-provider", "pool", "--dry-run", "--keep-latest", "2", "--keep-active"]) == 0
    assert {row[5] for row in rows(capsys.readouterr().out)} == {"active", "newest, active"}
    tags = ["--tag", "team=agents", "--tag", "stage=dev"]
    assert command.main([*tags, "--dry-run", "--keep-latest", "2", "--min-age", "1000000"]) == 0
    assert {row[5] for row in rows(capsys.readouterr().out)} == {"young", "newest, young"}


def test_what_could_not_be_read_is_told_in_a_line(
    fake: FakeLambda, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a stack trace, and with an exit code of its own."""
    fake.add("other", 1, 2, 3, 4, 5)

    def faults(operation: str, function: str) -> None:
        if (operation, function) == ("ListAliases", "other") or operation == "GetAccountSettings":
            raise FaultError(403, "AccessDeniedException")

    fake.faults = faults
    monkeypatch.setattr(logging.getLogger("ak_constructs"), "propagate", False)  # as in a process without handlers
    assert command.main(["agent", "other", "--dry-run"]) == 1
    told = capsys.readouterr()
    assert told.err.splitlines() == [
        "other: ListAliases: AccessDeniedException",
        "(account): GetAccountSettings: AccessDeniedException",
    ]
    assert "code storage" not in told.out
    assert len(rows(told.out)) == 5


def test_functions_that_were_not_gone_through_are_told(
    fake: FakeLambda, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Throttled to the end: the next call of the command begins anew."""
    VirtualTime(monkeypatch)
    fake.add("other", 1)

    def faults(operation: str, _function: str) -> None:
        if operation == "ListAliases":
            raise FaultError(429, "TooManyRequestsException")

    fake.faults = faults
    assert command.main(["agent", "other", "--dry-run"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "agent: ListAliases: TooManyRequestsException",
        "2 functions were not gone through (throttled)",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "?"), (5400.0, "1.5 h"), (86_400.0, "1.0 d"), (100 * 86_400.0, "100.0 d")]
)
def test_ages_are_short(seconds: float | None, text: str) -> None:
    """Hours for a day, then days."""
    assert command._age(seconds) == text


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["agent"], "one of the arguments --dry-run --delete is required"),
        (["agent", "--dry-run", "--delete"], "not allowed with argument"),
        (["--dry-run"], "name functions, a --capacity-provider or a --tag, exactly one of the three, got none"),
        (["agent", "--tag", "a=b", "--dry-run"], "exactly one of the three, got functions and tags"),
        (["--tag", "a", "--dry-run"], "a tag must be KEY=VALUE, got a"),
        (["--tag", "=a", "--dry-run"], "a tag must be KEY=VALUE, got =a"),
        (["--tag", "a=", "--dry-run"], "a tag must be KEY=VALUE, got a="),
        (["--tag", "a=b", "--tag", "a=c", "--delete"], "each tag must have one value: a function bears a key once"),
        *(
            (["agent", named, "--delete"], f"a function must be its name or ARN, without version or alias, got {named}")
            for named in ("agent:9", "agent:live", f"{arn('agent')}:9", "function:agent", "123456789012:agent", "ag*")
        ),
        (["agent", "--keep-latest", "1", "--dry-run"], "--keep-latest must be at least 2, got 1"),
        (["agent", "--min-age", "0.5", "--dry-run"], "--min-age must be at least 1 (hours), got 0.5"),
        (["agent", "--min-age", "nan", "--dry-run"], "--min-age must be at least 1 (hours), got nan"),
        (["agent", "--min-age", "inf", "--dry-run"], "--min-age must be at least 1 (hours), got inf"),
    ],
)
def test_fails_when_the_arguments_make_no_sense(
    arguments: list[str], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is asked of AWS."""
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    assert ended.value.code == 2
    assert error in capsys.readouterr().err


def test_fails_when_there_are_no_credentials(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Plainly."""

    class Nobody:
        def get_credentials(self) -> None:
            return None

    monkeypatch.setattr(boto3, "Session", lambda **_named: Nobody())
    assert command.main(["agent", "--dry-run"]) == 2
    said = "ak-prune: found no AWS credentials; log in, or name a profile with --profile\n"
    assert capsys.readouterr().err == said


def test_fails_when_there_is_no_such_profile(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In boto's words."""

    def session(**_named: object) -> None:
        raise ProfileNotFound(profile="nobody")

    monkeypatch.setattr(boto3, "Session", session)
    assert command.main(["agent", "--dry-run", "--profile", "nobody"]) == 2
    assert capsys.readouterr().err == "ak-prune: The config profile (nobody) could not be found\n"


def test_fails_when_there_is_no_region(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With the option that names one."""

    class Nowhere:
        def get_credentials(self) -> object:
            return object()

        def client(self, *_service: object, **_named: object) -> None:
            raise NoRegionError

    monkeypatch.setattr(boto3, "Session", lambda **_named: Nowhere())
    assert command.main(["agent", "--dry-run"]) == 2
    assert capsys.readouterr().err == "ak-prune: found no region; name one with --region\n"


def test_fails_when_not_even_the_scope_can_be_read(fake: FakeLambda, capsys: pytest.CaptureFixture[str]) -> None:
    """As with wrong credentials: no empty table that looks like an answer."""

    def faults(operation: str, _function: str) -> None:
        if operation != "GetCallerIdentity":  # which takes those of any region
            raise FaultError(403, "UnrecognizedClientException")

    fake.faults = faults
    assert command.main(["agent", "--delete"]) == 2
    told = capsys.readouterr()
    assert told.out == f"account {ACCOUNT}, region {REGION}\n"
    assert told.err == (
        f"ak-prune: could not read which functions to prune in {REGION} "
        "(ListEventSourceMappings: UnrecognizedClientException); "
        "check the region, the credentials and their permissions\n"
    )


def test_the_module_is_a_program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """As the command of the extra starts it."""
    monkeypatch.setattr(sys, "argv", ["ak-prune", "--help"])
    monkeypatch.delitem(sys.modules, "ak_lambda.version_pruner.__main__")
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("ak_lambda.version_pruner", run_name="__main__")
    assert ended.value.code == 0
    assert "usage: ak-prune" in capsys.readouterr().out


def test_the_command_and_the_construct_have_the_same_defaults() -> None:
    """They never import each other."""
    defaults = command._parser().parse_args(["agent", "--dry-run"])
    assert defaults.keep_latest == construct.DEFAULT_KEEP_LATEST
    assert defaults.min_age == construct.DEFAULT_MIN_AGE.to_hours()


def test_the_extra_brings_the_command_and_what_it_needs() -> None:
    """And neither is needed by the constructs."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {"ak-prune": "ak_constructs._prune_command:main"}
    assert [each.partition(">")[0] for each in project["optional-dependencies"]["prune"]] == [*_prune_command.PACKAGES]


def test_the_command_runs_the_lambda_code_in_a_process_of_its_own(tmp_path: Path) -> None:
    """From any folder, even one with modules of the same names, and without the constructs' own imports."""
    (tmp_path / "ak_lambda.py").write_text("raise RuntimeError", encoding="utf-8")
    program = (
        "import sys\nfrom ak_constructs import _prune_command\nsys.argv[1:] = ['--help']\n"
        "code = _prune_command.main()\nassert not {'aws_cdk', 'boto3', 'ak_lambda'} & set(sys.modules)\n"
        "sys.exit(code)\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON", "COV_"))}
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "usage: ak-prune" in done.stdout


@pytest.mark.parametrize("before", [None, "/elsewhere"])
def test_the_command_passes_arguments_and_the_exit_code_on(monkeypatch: pytest.MonkeyPatch, before: str | None) -> None:
    """And whatever path for modules there was."""
    asked: list[Any] = []

    def run(arguments: list[str], *, env: dict[str, str], check: bool) -> subprocess.CompletedProcess[bytes]:
        asked.extend((arguments[1:], env["PYTHONPATH"], check))
        return subprocess.CompletedProcess(arguments, 1)

    if before:
        monkeypatch.setenv("PYTHONPATH", before)
    else:
        monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(sys, "argv", ["ak-prune", "agent", "--dry-run"])
    assert _prune_command.main() == 1
    path = os.pathsep.join([str(lambda_assets()), *([before] if before else [])])
    assert asked == [["-P", "-m", "ak_lambda.version_pruner", "agent", "--dry-run"], path, False]


def test_an_interrupted_command_ends_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a shell counts it."""

    def run(*_arguments: object, **_named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "run", run)
    assert _prune_command.main() == 130


def test_without_the_extra_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And runs nothing."""
    monkeypatch.setattr(_prune_command, "find_spec", lambda _name: None)
    assert _prune_command.main() == 2
    assert capsys.readouterr().err == "ak-prune needs boto3 and rich: pip install 'ak-constructs[prune]'\n"
