"""VersionPruner: deletes function versions that nobody uses any more."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_scheduler as scheduler
from aws_cdk.assertions import Match, Template
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from ak_constructs import AgentFunction, VersionPruner
from ak_constructs._limits import LAMBDA_ENVIRONMENT_BYTES
from ak_constructs.testing import normalised
from scripts.findings import violations
from test.support import logical_ids

READS = (
    "lambda:ListVersionsByFunction",
    "lambda:ListAliases",
    "lambda:ListProvisionedConcurrencyConfigs",
    "lambda:ListDurableExecutionsByFunction",
)
FUNCTIONS = "arn:aws:lambda:us-east-1:111122223333:function:"
HERE = {"AWS::Partition": "aws", "AWS::Region": "us-east-1", "AWS::AccountId": "111122223333"}
POLICY_BYTES = {"AWS::IAM::Policy": 10_240, "AWS::IAM::ManagedPolicy": 6144}  # what IAM takes


def plain(stack: cdk.Stack, name: str, path: str = "Imported") -> lambda_.IFunction:
    """Name a function that exists already."""
    return lambda_.Function.from_function_name(stack, path, name)


def pool(stack: cdk.Stack) -> lambda_.ICapacityProvider:
    """Name a capacity provider that exists already."""
    return lambda_.CapacityProvider.from_capacity_provider_name(stack, "Pool", "pool")


def rendered(value: Any) -> Any:  # noqa: ANN401 - a template's JSON
    """Give a part of a template as deployed, with what CloudFormation puts in."""
    match value:
        case {"Ref": name}:
            found: object = HERE.get(name, name)
        case {"Fn::GetAtt": [name, "Arn"]}:
            found = f"arn:of:{name}"
        case {"Fn::Join": [between, parts]}:
            found = between.join(rendered(parts))
        case {"Fn::Select": [index, {"Fn::Split": [between, text]}]}:
            found = rendered(text).split(between)[index]
        case dict():
            found = {name: rendered(each) for name, each in value.items()}
        case list():
            found = [rendered(each) for each in value]
        case _:
            found = value
    return found


def resources(stack: cdk.Stack, type_: str) -> dict[str, Any]:
    """Give the properties of all resources of a type, as deployed."""
    found = Template.from_stack(stack).find_resources(type_)
    return {name: rendered(each["Properties"]) for name, each in found.items()}


def variables(stack: cdk.Stack) -> dict[str, str]:
    """Give the pruner's environment, as deployed."""
    (properties,) = (each for name, each in resources(stack, "AWS::Lambda::Function").items() if "Pruner" in name)
    found: dict[str, str] = properties["Environment"]["Variables"]
    return found


def granted(stack: cdk.Stack) -> list[tuple[tuple[str, ...], tuple[str, ...], Any]]:
    """Give (actions, resources, condition) of each statement of the function's role, but for logs and X-Ray."""
    found = []
    for policy in (
        *resources(stack, "AWS::IAM::Policy").values(),
        *resources(stack, "AWS::IAM::ManagedPolicy").values(),
    ):
        if not any("PrunerFunctionRole" in role for role in policy["Roles"]):
            continue
        for statement in policy["PolicyDocument"]["Statement"]:
            actions, on = (
                tuple([each] if isinstance(each, str) else each)
                for each in (statement["Action"], statement["Resource"])
            )
            if not actions[0].startswith(("logs:", "xray:")):
                found.append((actions, on, statement.get("Condition")))
    return found


def always(stack: cdk.Stack) -> list[tuple[tuple[str, ...], tuple[str, ...], Any]]:
    """Give what the function may do in every scope."""
    (cursor,) = resources(stack, "AWS::SSM::Parameter")
    return [
        (("lambda:ListEventSourceMappings", "lambda:GetAccountSettings"), ("*",), None),
        (
            ("ssm:GetParameter", "ssm:PutParameter"),
            (f"arn:aws:ssm:us-east-1:111122223333:parameter/{cursor}",),
            None,
        ),
    ]


def test_a_first_deployment_deletes_nothing(stack: cdk.Stack) -> None:
    """It says once a day what it would delete: all but the newest three of a function, and a day at least."""
    VersionPruner(stack, "Pruner", functions=[plain(stack, "worker")])
    (cursor,) = resources(stack, "AWS::SSM::Parameter")
    assert variables(stack) == {
        "AK_CONSTRUCTS_CURSOR_PARAMETER": cursor,
        "AK_CONSTRUCTS_DRY_RUN": "true",
        "AK_CONSTRUCTS_KEEP_ACTIVE": "false",
        "AK_CONSTRUCTS_KEEP_LATEST": "3",
        "AK_CONSTRUCTS_MAX_DELETIONS": "500",
        "AK_CONSTRUCTS_MIN_AGE_SECONDS": "86400",
        "AK_CONSTRUCTS_PRUNE_SCOPE": '{"functions":["worker"]}',
    }
    (schedule,) = resources(stack, "AWS::Scheduler::Schedule").values()
    assert schedule["ScheduleExpression"] == "rate(1 day)"


def test_a_run_has_a_quarter_of_an_hour_and_is_not_retried(stack: cdk.Stack) -> None:
    """Neither by the schedule nor by Lambda, which would try an asynchronous invocation twice more."""
    VersionPruner(stack, "Pruner", functions=[plain(stack, "worker")])
    (function,) = resources(stack, "AWS::Lambda::Function").values()
    assert (function["Timeout"], function["MemorySize"]) == (900, 512)
    assert "ReservedConcurrentExecutions" not in function
    (schedule,) = resources(stack, "AWS::Scheduler::Schedule").values()
    assert schedule["Target"]["RetryPolicy"]["MaximumRetryAttempts"] == 0
    (invoke,) = resources(stack, "AWS::Lambda::EventInvokeConfig").values()
    assert (invoke["MaximumRetryAttempts"], invoke["Qualifier"]) == (0, "$LATEST")


def test_the_next_run_begins_where_the_last_ended(stack: cdk.Stack) -> None:
    """From the beginning at first; the function writes its parameter, and CloudFormation only if the template moves."""
    pruner = VersionPruner(stack, "Pruner", functions=[plain(stack, "worker")])
    (cursor,) = resources(stack, "AWS::SSM::Parameter").values()
    assert (cursor["Type"], cursor["Value"]) == ("String", "-")
    assert stack.resolve(pruner.cursor.parameter_name) == {"Ref": "PrunerCursor523D3F14"}


def test_a_dead_run_a_failure_and_a_full_code_storage_are_alarmed(stack: cdk.Stack) -> None:
    """Of this pruner only; whom the alarms tell is up to the user."""
    pruner = VersionPruner(stack, "Pruner", functions=[plain(stack, "worker")])
    (function,) = resources(stack, "AWS::Lambda::Function")
    alarms = resources(stack, "AWS::CloudWatch::Alarm").values()
    assert len(pruner.alarms) == 3
    assert {
        (each["Namespace"], each["MetricName"], each["Statistic"], each["Period"], each["Threshold"]) for each in alarms
    } == {
        ("AWS/Lambda", "Errors", "Sum", 300, 1),
        ("AkConstructs", "Failures", "Sum", 300, 1),
        ("AkConstructs", "CodeStorageUsed", "Maximum", 86_400, 80),
    }
    for alarm in alarms:
        assert alarm["Dimensions"] == [{"Name": "FunctionName", "Value": function}]
        assert (alarm["TreatMissingData"], alarm["ComparisonOperator"]) == (
            "notBreaching",
            "GreaterThanOrEqualToThreshold",
        )


def test_what_goes_on_can_be_seen(stack: cdk.Stack) -> None:
    """In metrics that the function writes to its log."""
    pruner = VersionPruner(stack, "Pruner", functions=[plain(stack, "worker")])
    metrics = (
        pruner.metric_deleted(),
        pruner.metric_would_delete(),
        pruner.metric_kept(),
        pruner.metric_bytes_freed(),
        pruner.metric_failures(),
        pruner.metric_unfinished(),
        pruner.metric_code_storage_used(),
    )
    assert {(metric.metric_name, metric.statistic, metric.period.to_minutes()) for metric in metrics} == {
        ("Deleted", "Sum", 5),
        ("WouldDelete", "Sum", 5),
        ("Kept", "Sum", 5),
        ("BytesFreed", "Sum", 5),
        ("Failures", "Sum", 5),
        ("Unfinished", "Sum", 5),
        ("CodeStorageUsed", "Maximum", 1440),
    }
    assert {metric.namespace for metric in metrics} == {"AkConstructs"}
    assert all((metric.dimensions or {}) == {"FunctionName": pruner.function.function_name} for metric in metrics)


def test_functions_of_this_app_and_others_are_named(stack: cdk.Stack, agent: AgentFunction) -> None:
    """By their names, which is short: an environment has 4 KB."""
    VersionPruner(stack, "Pruner", functions=[agent, plain(stack, "worker")])
    assert json.loads(variables(stack)["AK_CONSTRUCTS_PRUNE_SCOPE"]) == {"functions": ["Agent255F68E9", "worker"]}


def test_functions_with_tags_are_found_by_them(stack: cdk.Stack) -> None:
    """By all of them."""
    VersionPruner(stack, "Pruner", tags={"team": "agents", "stage": "prod"})
    scope = json.loads(variables(stack)["AK_CONSTRUCTS_PRUNE_SCOPE"])
    assert scope == {"tags": {"team": "agents", "stage": "prod"}}


def test_functions_on_a_capacity_provider_are_found_by_it(stack: cdk.Stack) -> None:
    """Those of a pool."""
    VersionPruner(stack, "Pruner", capacity_provider=pool(stack))
    arn = "arn:aws:lambda:us-east-1:111122223333:capacity-provider:pool"
    assert json.loads(variables(stack)["AK_CONSTRUCTS_PRUNE_SCOPE"]) == {"capacity_provider": arn}


def test_how_many_stay_and_how_old_they_get_is_up_to_the_user(stack: cdk.Stack) -> None:
    """So is when it runs, and that it deletes."""
    VersionPruner(
        stack,
        "Pruner",
        functions=[plain(stack, "worker")],
        keep_latest=2,
        min_age=cdk.Duration.hours(1),
        schedule=scheduler.ScheduleExpression.cron(minute="0", hour="3"),
        dry_run=False,
    )
    told = variables(stack)
    assert (told["AK_CONSTRUCTS_KEEP_LATEST"], told["AK_CONSTRUCTS_MIN_AGE_SECONDS"]) == ("2", "3600")
    assert told["AK_CONSTRUCTS_DRY_RUN"] == "false"
    (schedule,) = resources(stack, "AWS::Scheduler::Schedule").values()
    assert schedule["ScheduleExpression"] == "cron(0 3 * * ? *)"


def test_numbers_may_be_known_at_deployment_only(stack: cdk.Stack) -> None:
    """A parameter of the stack."""
    number = cdk.CfnParameter(stack, "Number", type="Number").value_as_number
    VersionPruner(
        stack,
        "Pruner",
        functions=[plain(stack, "worker")],
        keep_latest=number,  # type: ignore[arg-type]
        min_age=cdk.Duration.seconds(number),
    )
    told = variables(stack)
    assert told["AK_CONSTRUCTS_KEEP_LATEST"] == "Number"
    assert told["AK_CONSTRUCTS_MIN_AGE_SECONDS"] == "Number"


def test_active_versions_may_be_kept_however_old(stack: cdk.Stack) -> None:
    """Of managed instances: they cost, but may be in use."""
    VersionPruner(stack, "Pruner", capacity_provider=pool(stack)).keep_active_versions()
    assert variables(stack)["AK_CONSTRUCTS_KEEP_ACTIVE"] == "true"


def test_reports_go_to_a_bucket(stack: cdk.Stack) -> None:
    """Under a prefix, and the function may write nothing else there."""
    pruner = VersionPruner(stack, "Pruner", functions=[plain(stack, "worker")])
    pruner.add_report_bucket(s3.Bucket.from_bucket_name(stack, "Bucket", "reports"), prefix="team/pruner/")
    told = variables(stack)
    assert told["AK_CONSTRUCTS_REPORT_BUCKET"] == "reports"
    assert told["AK_CONSTRUCTS_REPORT_PREFIX"] == "team/pruner/"
    assert (("s3:PutObject",), ("arn:aws:s3:::reports/team/pruner/*",), None) in granted(stack)


def test_a_bucket_may_have_a_key_of_its_own(stack: cdk.Stack) -> None:
    """Which is used for writing only."""
    pruner = VersionPruner(stack, "Pruner", functions=[plain(stack, "worker")])
    pruner.add_report_bucket(s3.Bucket(stack, "Bucket", encryption_key=kms.Key(stack, "Key")))
    assert variables(stack)["AK_CONSTRUCTS_REPORT_PREFIX"] == "version-pruner/"
    (key,) = resources(stack, "AWS::KMS::Key")
    assert [on for actions, on, _ in granted(stack) if actions == ("kms:GenerateDataKey",)] == [(f"arn:of:{key}",)]


@pytest.mark.parametrize(
    ("scope", "given"),
    [
        (lambda _stack: {}, "none"),
        (lambda stack: {"functions": [plain(stack, "worker")], "tags": {"a": "b"}}, "functions and tags"),
        (
            lambda stack: {"capacity_provider": pool(stack), "functions": [plain(stack, "x")], "tags": {"a": "b"}},
            "capacity_provider and functions and tags",
        ),
    ],
)
def test_fails_without_exactly_one_scope(
    stack: cdk.Stack, scope: Callable[[cdk.Stack], dict[str, Any]], given: str
) -> None:
    """None would be every function of the account, and two might mean both or either."""
    with pytest.raises(
        ValueError,
        match=rf"^exactly one of capacity_provider, functions and tags must be given, got {given}; "
        r"define a VersionPruner for each$",
    ):
        VersionPruner(stack, "Pruner", **scope(stack))


@pytest.mark.parametrize(
    ("scope", "error"),
    [
        ({"functions": []}, r"functions must not be empty, got \[\]; leave the VersionPruner out"),
        ({"tags": {}}, r"tags must not be empty, got \{\}; leave the VersionPruner out"),
        ({"tags": {"": "x"}}, "tags must have names and values, got '': 'x'; give both"),
        ({"tags": {"team": ""}}, "tags must have names and values, got 'team': ''; give both"),
    ],
)
def test_fails_when_a_scope_is_empty(stack: cdk.Stack, scope: dict[str, Any], error: str) -> None:
    """It could be taken for all."""
    with pytest.raises(ValueError, match=f"^{error}$"):
        VersionPruner(stack, "Pruner", **scope)


@pytest.mark.parametrize("name", ["*", "agent-*", "agent-?", "worker:live"])
def test_fails_when_an_imported_functions_name_would_match_others(stack: cdk.Stack, name: str) -> None:
    """What may be deleted is said by that name."""
    imported = lambda_.Function.from_function_name(stack, "Imported", name)
    message = rf"^the name of functions\[0\] must be a function's, such as 'my-agent', got {re.escape(repr(name))}$"
    with pytest.raises(ValueError, match=message):
        VersionPruner(stack, "Pruner", functions=[imported])


@pytest.mark.parametrize(
    "qualified",
    [
        lambda _stack, agent: agent.add_alias("live"),
        lambda _stack, agent: agent.current_version,
        lambda _stack, agent: agent.latest_version,
        lambda stack, _agent: lambda_.Version.from_version_arn(stack, "Version", f"{FUNCTIONS}worker:3"),
        lambda stack, agent: lambda_.Alias.from_alias_attributes(
            stack, "Alias", alias_name="live", alias_version=agent.current_version
        ),
        lambda stack, _agent: lambda_.Function.from_function_arn(stack, "Qualified", f"{FUNCTIONS}worker:live"),
    ],
)
def test_fails_when_a_version_or_alias_is_given(
    stack: cdk.Stack,
    agent: AgentFunction,
    qualified: Callable[[cdk.Stack, AgentFunction], lambda_.IFunction],
) -> None:
    """Its function is meant."""
    with pytest.raises(
        ValueError,
        match=r"^functions\[0\] must be a function, got a version or alias, Stack/.*; "
        r"give the function that it is of, whose versions are pruned$",
    ):
        VersionPruner(stack, "Pruner", functions=[qualified(stack, agent)])


def test_a_function_whose_name_is_known_at_deployment_only_is_taken(stack: cdk.Stack) -> None:
    """Whether that is a version, nobody can say."""
    arn = cdk.CfnParameter(stack, "Arn").value_as_string
    imported = lambda_.Function.from_function_arn(stack, "Imported", arn)
    VersionPruner(stack, "Pruner", functions=[imported], dry_run=False)
    assert (("lambda:DeleteFunction",), ("Arn:*",), None) in granted(stack)


def test_fails_when_a_function_is_given_twice(stack: cdk.Stack, agent: AgentFunction) -> None:
    """However it was come by."""
    with pytest.raises(ValueError, match=r"^functions\[1\] must be given once, got Stack/Agent again; leave it out$"):
        VersionPruner(stack, "Pruner", functions=[agent, agent])
    with pytest.raises(ValueError, match=r"^functions\[1\] must be given once, got Stack/Two again; leave it out$"):
        VersionPruner(stack, "Other", functions=[plain(stack, "worker", "One"), plain(stack, "worker", "Two")])


def test_fails_with_more_functions_than_an_environment_names(stack: cdk.Stack) -> None:
    """Tags name any number."""
    many = [plain(stack, f"worker-{number}", f"Imported{number}") for number in range(51)]
    with pytest.raises(
        ValueError,
        match=r"^functions must be at most 50, got 51; give tags, or define a second VersionPruner$",
    ):
        VersionPruner(stack, "Pruner", functions=many)


@pytest.mark.parametrize(
    ("region", "account", "error"),
    [
        ("eu-west-1", "111122223333", "region us-east-1, got one in eu-west-1"),
        ("us-east-1", "444455556666", "account 111122223333, got one in 444455556666"),
    ],
)
def test_fails_when_a_function_or_provider_is_elsewhere(app: cdk.App, region: str, account: str, error: str) -> None:
    """The pruner would ask Lambda in its own place for it, and find another or none."""
    stack = cdk.Stack(app, "Here", env=cdk.Environment(account="111122223333", region="us-east-1"))
    arn = f"arn:aws:lambda:{region}:{account}:"
    function = lambda_.Function.from_function_arn(stack, "Function", f"{arn}function:worker")
    with pytest.raises(
        ValueError, match=rf"^functions\[0\] must be in the pruner's {error}; define a VersionPruner there$"
    ):
        VersionPruner(stack, "Pruner", functions=[function])
    provider = lambda_.CapacityProvider.from_capacity_provider_arn(stack, "Pool", f"{arn}capacity-provider:pool")
    with pytest.raises(
        ValueError, match=rf"^capacity_provider must be in the pruner's {error}; define a VersionPruner there$"
    ):
        VersionPruner(stack, "Other", capacity_provider=provider)


def test_a_function_in_the_same_place_is_taken(app: cdk.App) -> None:
    """Also when the place is known."""
    stack = cdk.Stack(app, "Here", env=cdk.Environment(account="111122223333", region="us-east-1"))
    function = lambda_.Function.from_function_arn(stack, "Function", f"{FUNCTIONS}worker")
    VersionPruner(stack, "Pruner", functions=[function], dry_run=False)
    assert (("lambda:DeleteFunction",), (f"{FUNCTIONS}worker:*",), None) in granted(stack)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"keep_latest": 1}, "keep_latest must be at least 2, got 1; "),
        ({"min_age": cdk.Duration.minutes(59)}, "min_age must be at least 3600 s, got 3540 s; "),
    ],
)
def test_fails_when_a_version_that_still_gets_requests_could_go(
    stack: cdk.Stack, arguments: dict[str, Any], error: str
) -> None:
    """The one that an alias has just left."""
    remedy = "an alias is not moved everywhere at once, and requests still reach the version before"
    with pytest.raises(ValueError, match=f"^{error}{remedy}$"):
        VersionPruner(stack, "Pruner", functions=[plain(stack, "worker")], **arguments)


@pytest.mark.parametrize("prefix", ["", "/", "reports", "re ports/", "*/", "a//b/"])
def test_fails_when_a_prefix_is_no_folder(stack: cdk.Stack, prefix: str) -> None:
    """It becomes part of a permission."""
    pruner = VersionPruner(stack, "Pruner", functions=[plain(stack, "worker")])
    with pytest.raises(
        ValueError, match=r"^prefix must be names that end in a slash, such as 'version-pruner/', got '.*'$"
    ):
        pruner.add_report_bucket(s3.Bucket.from_bucket_name(stack, "Bucket", "reports"), prefix=prefix)


def test_fails_with_a_second_report_bucket(stack: cdk.Stack) -> None:
    """Reports go to one place."""
    pruner = VersionPruner(stack, "Pruner", functions=[plain(stack, "worker")])
    bucket = s3.Bucket.from_bucket_name(stack, "Bucket", "reports")
    pruner.add_report_bucket(bucket)
    with pytest.raises(
        ValueError,
        match=r"^add_report_bucket must be called once, got a second bucket Stack/Bucket; "
        r"replicate the reports from the first$",
    ):
        pruner.add_report_bucket(bucket)


def test_of_functions_only_versions_can_be_deleted(stack: cdk.Stack, agent: AgentFunction) -> None:
    """Of those given, and no other function is even read."""
    VersionPruner(stack, "Pruner", functions=[agent, plain(stack, "worker")], dry_run=False)
    ours, worker = "arn:of:Agent255F68E9", f"{FUNCTIONS}worker"
    assert granted(stack) == [
        *always(stack),
        (READS, (ours, worker, f"{ours}:*", f"{worker}:*"), None),
        (("lambda:DeleteFunction",), (f"{ours}:*", f"{worker}:*"), None),
    ]


def test_of_tagged_functions_only_versions_can_be_deleted(stack: cdk.Stack) -> None:
    """Every permission on a function hangs on all of its tags."""
    VersionPruner(stack, "Pruner", tags={"team": "agents", "stage": "prod"}, dry_run=False)
    tagged = {"StringEquals": {"aws:ResourceTag/team": "agents", "aws:ResourceTag/stage": "prod"}}
    assert granted(stack) == [
        *always(stack),
        (READS, (f"{FUNCTIONS}*",), tagged),
        (("lambda:DeleteFunction",), (f"{FUNCTIONS}*:*",), tagged),
        (("tag:GetResources",), ("*",), None),
    ]


def test_on_a_capacity_provider_only_versions_can_be_deleted(stack: cdk.Stack) -> None:
    """IAM cannot tell which functions are on it."""
    VersionPruner(stack, "Pruner", capacity_provider=pool(stack), dry_run=False)
    arn = "arn:aws:lambda:us-east-1:111122223333:capacity-provider:pool"
    assert granted(stack) == [
        *always(stack),
        (READS, (f"{FUNCTIONS}*",), None),
        (("lambda:DeleteFunction",), (f"{FUNCTIONS}*:*",), None),
        (("lambda:ListFunctionVersionsByCapacityProvider",), (arn,), None),
    ]


@pytest.mark.parametrize("scope", ["functions", "tags", "capacity_provider"])
def test_a_pruner_that_is_always_dry_may_not_delete(stack: cdk.Stack, scope: str) -> None:
    """Not only its code says so."""
    scopes = {"functions": [plain(stack, "worker")], "tags": {"team": "agents"}, "capacity_provider": pool(stack)}
    VersionPruner(stack, "Pruner", **{scope: scopes[scope]})  # type: ignore[arg-type]
    allowed = {action for actions, _, _ in granted(stack) for action in actions}
    assert allowed >= set(READS)
    assert "lambda:DeleteFunction" not in allowed


@pytest.mark.parametrize("minimized", [False, True])
def test_fifty_functions_fit_into_environment_and_policies(minimized: bool) -> None:
    """With the longest names there are, and everything else as long as it gets; with and without a flag of CDK's."""
    stack = cdk.Stack(cdk.App(context={"@aws-cdk/aws-iam:minimizePolicies": minimized}), "Stack")
    many = [plain(stack, f"{number:064d}", f"Imported{number}") for number in range(50)]
    pruner = VersionPruner(stack, "Pruner", functions=many, dry_run=False)
    pruner.add_report_bucket(s3.Bucket.from_bucket_name(stack, "Bucket", "b" * 63), prefix="reports/versions/")
    told = variables(stack) | {"AK_CONSTRUCTS_CURSOR_PARAMETER": "c" * 64}
    assert sum(len(name) + len(value) for name, value in told.items()) <= LAMBDA_ENVIRONMENT_BYTES
    sizes = [
        (type_, len(json.dumps(each["PolicyDocument"], separators=(",", ":"))))
        for type_ in POLICY_BYTES
        for each in resources(stack, type_).values()
    ]
    assert len(sizes) > 3, "the test would say nothing"
    assert all(size <= POLICY_BYTES[type_] for type_, size in sizes)
    assert len([type_ for type_, _ in sizes if type_ == "AWS::IAM::ManagedPolicy"]) <= 10, "a role's quota"
    deletable = {arn for actions, on, _ in granted(stack) if actions == ("lambda:DeleteFunction",) for arn in on}
    assert deletable == {f"{FUNCTIONS}{number:064d}:*" for number in range(50)}


def test_the_schedules_role_is_for_schedules_of_this_account_in_the_default_group(stack: cdk.Stack) -> None:
    """The group of ours, as CDK's own role has it: a schedule of another group or region cannot take it."""
    pruner = VersionPruner(stack, "Pruner", functions=[plain(stack, "worker")])
    trust = {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"Service": "scheduler.amazonaws.com"},
        "Condition": {
            "StringEquals": {
                "aws:SourceAccount": stack.resolve(stack.account),
                "aws:SourceArn": stack.resolve(
                    f"arn:{stack.partition}:scheduler:{stack.region}:{stack.account}:schedule-group/default"
                ),
            }
        },
    }
    Template.from_stack(stack).has_resource_properties(
        "AWS::IAM::Role", {"AssumeRolePolicyDocument": {"Statement": [trust], "Version": "2012-10-17"}}
    )
    assert pruner.schedule.schedule_group is None, "the default one"


def test_the_schedule_may_run_the_function_and_nothing_else(stack: cdk.Stack) -> None:
    """In no version of it; and only a schedule of this account takes its role."""
    VersionPruner(stack, "Pruner", functions=[plain(stack, "worker")])
    template = Template.from_stack(stack)
    trust = {
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}},
        "Effect": "Allow",
        "Principal": {"Service": "scheduler.amazonaws.com"},
    }
    template.has_resource_properties(
        "AWS::IAM::Role", {"AssumeRolePolicyDocument": {"Statement": [trust], "Version": "2012-10-17"}}
    )
    template.has_resource_properties(
        "AWS::IAM::Policy",
        {
            "Roles": [{"Ref": Match.string_like_regexp("PrunerScheduleRole")}],
            "PolicyDocument": {
                "Statement": [
                    {
                        "Action": "lambda:InvokeFunction",
                        "Effect": "Allow",
                        "Resource": {"Fn::GetAtt": [Match.string_like_regexp("^PrunerFunction"), "Arn"]},
                    }
                ],
                "Version": "2012-10-17",
            },
        },
    )


@pytest.mark.parametrize(
    ("scope", "wide"),
    [
        (lambda stack: {"functions": [plain(stack, "worker")]}, {"function:worker:*"}),
        (lambda _stack: {"tags": {"team": "agents"}}, {"function:*", "function:*:*"}),
        (lambda stack: {"capacity_provider": pool(stack)}, {"function:*", "function:*:*"}),
    ],
)
def test_cdk_nag_finds_no_wildcard_but_those_of_the_scope(
    stack: cdk.Stack, scope: Callable[[cdk.Stack], Mapping[str, Any]], wide: set[str]
) -> None:
    """And what it finds of every function of this library: network, dead letters, concurrency, keys."""
    VersionPruner(stack, "Pruner", dry_run=False, **scope(stack))
    found = violations(stack)
    place = "arn:<AWS::Partition>:lambda:<AWS::Region>:<AWS::AccountId>"
    assert {rule for _, rule in found if "IAM5" in rule} == {
        "AwsSolutions-IAM5[Resource::*]",
        *(f"AwsSolutions-IAM5[Resource::{place}:{each}]" for each in wide),
    }
    assert {rule.rpartition("-")[2] for _, rule in found if "IAM5" not in rule} == {
        "L1",
        "CloudWatchAlarmAction",
        "CloudWatchLogGroupEncrypted",
        "IAMNoInlinePolicy",
        "LambdaAsyncFailureDestination",
        "LambdaConcurrency",
        "LambdaDLQ",
        "LambdaInsideVPC",
        "LambdaLatestVersion",
    }


def test_ids_stay(stack: cdk.Stack) -> None:
    """Changing one replaces a user's resource, and loses the cursor or the log."""
    VersionPruner(stack, "Pruner", functions=[plain(stack, "worker")])
    assert logical_ids(stack) == {
        "PrunerCodeStorageAlarm8D5381E0": "AWS::CloudWatch::Alarm",
        "PrunerCursor523D3F14": "AWS::SSM::Parameter",
        "PrunerErrorsAlarm151D9031": "AWS::CloudWatch::Alarm",
        "PrunerFailuresAlarm2C17ABAF": "AWS::CloudWatch::Alarm",
        "PrunerFunction95C0A7FA": "AWS::Lambda::Function",
        "PrunerFunctionEventInvokeConfigF167D860": "AWS::Lambda::EventInvokeConfig",
        "PrunerFunctionLogs456DCA4A": "AWS::Logs::LogGroup",
        "PrunerFunctionRoleDefaultPolicyFC82A715": "AWS::IAM::Policy",
        "PrunerFunctionRoleFDD0FFAD": "AWS::IAM::Role",
        "PrunerScheduleDCD5636A": "AWS::Scheduler::Schedule",
        "PrunerScheduleRoleAB1D2487": "AWS::IAM::Role",
        "PrunerScheduleRoleDefaultPolicy0241B58B": "AWS::IAM::Policy",
    }


def test_snapshot_of_the_defaults(stack: cdk.Stack, snapshot: SnapshotAssertion) -> None:
    """Ids and surprises."""
    VersionPruner(stack, "Pruner", functions=[plain(stack, "worker")])
    assert normalised(stack) == snapshot(extension_class=JSONSnapshotExtension)


def test_snapshot_of_everything_set(stack: cdk.Stack, snapshot: SnapshotAssertion) -> None:
    """Ids and surprises."""
    pruner = VersionPruner(
        stack,
        "Pruner",
        capacity_provider=pool(stack),
        keep_latest=5,
        min_age=cdk.Duration.days(7),
        schedule=scheduler.ScheduleExpression.rate(cdk.Duration.hours(6)),
        dry_run=False,
    )
    pruner.keep_active_versions()
    pruner.add_report_bucket(s3.Bucket.from_bucket_name(stack, "Bucket", "reports"), prefix="reports/")
    assert normalised(stack) == snapshot(extension_class=JSONSnapshotExtension)
