"""KeepWarm: a schedule that keeps environments warm, where pings are worth it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import assertions
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_scheduler as scheduler
from aws_cdk.assertions import Template
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from ak_constructs import AgentFunction, KeepWarm, SharedCapacityProvider
from ak_constructs.testing import normalised
from test.support import logical_ids, statements

LOGS = ("logs:CreateLogStream", "logs:PutLogEvents")
XRAY = (("xray:PutTraceSegments", "xray:PutTelemetryRecords"), "*")


@pytest.fixture
def live(agent: AgentFunction) -> lambda_.Alias:
    """Make the alias that callers invoke."""
    return agent.add_alias("live")


def found(stack: cdk.Stack, type_: str, name: str = "") -> dict[str, Any]:
    """Give the properties of the one resource whose logical id begins so."""
    resources = Template.from_stack(stack).to_json()["Resources"]
    (properties,) = (
        resource["Properties"] for id_, resource in resources.items() if resource["Type"] == type_ and name in id_
    )
    return dict(properties)


def variables(stack: cdk.Stack) -> dict[str, Any]:
    """Give what the warmer is told."""
    return dict(found(stack, "AWS::Lambda::Function", "WarmWarmer")["Environment"]["Variables"])


def plain(stack: cdk.Stack, id_: str = "Plain", **settings: Any) -> lambda_.Function:  # noqa: ANN401
    """Make a function without anything of ours."""
    return lambda_.Function(
        stack,
        id_,
        code=lambda_.Code.from_inline("x"),
        handler="index.handler",
        runtime=lambda_.Runtime.PYTHON_3_13,
        **settings,
    )


def capacity(stack: cdk.Stack) -> lambda_.CapacityProvider:
    """Make a pool of managed instances."""
    vpc = ec2.Vpc(stack, "Vpc", max_azs=1)
    group = ec2.SecurityGroup(stack, "Group", vpc=vpc)
    return lambda_.CapacityProvider(stack, "Pool", subnets=vpc.private_subnets, security_groups=[group])


def test_one_environment_is_pinged_every_five_minutes(stack: cdk.Stack, live: lambda_.Alias) -> None:
    """By a schedule that may run the warmer and nothing else."""
    KeepWarm(stack, "Warm", targets=[live])
    schedule = found(stack, "AWS::Scheduler::Schedule")
    assert schedule["ScheduleExpression"] == "rate(5 minutes)"
    assert schedule["FlexibleTimeWindow"] == {"Mode": "OFF"}
    assert "WarmWarmer" in str(schedule["Target"]["Arn"])
    told = variables(stack)
    assert "AgentAliaslive" in str(told.pop("AK_CONSTRUCTS_WARM_TARGETS"))
    assert told == {
        "AK_CONSTRUCTS_WARM_CONCURRENCY": "1",
        "AK_CONSTRUCTS_WARM_HOLD_MS": "500",
        "AK_CONSTRUCTS_WARM_MAX_HOLD_MS": "5000",
        "AK_CONSTRUCTS_WARM_WAIT_SECONDS": "39",
    }


def test_the_warmer_outlasts_two_rounds_of_cold_starts(stack: cdk.Stack, live: lambda_.Alias) -> None:
    """Ten seconds and the target's timeout each, with a whole processor to start many connections at once."""
    KeepWarm(stack, "Warm", targets=[live])
    warmer = found(stack, "AWS::Lambda::Function", "WarmWarmer")
    assert (warmer["Timeout"], warmer["MemorySize"]) == (2 * (10 + 29) + 30, 1769)
    assert warmer["Handler"] == "ak_lambda.keep_warm.handler.handler"


@pytest.mark.parametrize(
    ("timeout", "wait", "warmer"),
    [
        (None, 13, 56),
        (cdk.Duration.seconds(60), 70, 170),
        (cdk.Duration.minutes(15), 870, 900),
    ],
)
def test_it_waits_for_as_long_as_the_slowest_target_may_take(
    stack: cdk.Stack, timeout: cdk.Duration | None, wait: int, warmer: int
) -> None:
    """Within what Lambda allows for the warmer itself."""
    KeepWarm(stack, "Warm", targets=[plain(stack, timeout=timeout), plain(stack, "Quick")])
    assert variables(stack)["AK_CONSTRUCTS_WARM_WAIT_SECONDS"] == str(wait)
    assert found(stack, "AWS::Lambda::Function", "WarmWarmer")["Timeout"] == warmer


def test_a_timeout_that_is_only_known_at_deployment_is_taken_for_a_minute(stack: cdk.Stack) -> None:
    """As an imported function's."""
    seconds = cdk.CfnParameter(stack, "Seconds", type="Number", default=20).value_as_number
    KeepWarm(stack, "Warm", targets=[plain(stack, timeout=cdk.Duration.seconds(seconds))])
    assert variables(stack)["AK_CONSTRUCTS_WARM_WAIT_SECONDS"] == "70"


def test_environments_are_counted_and_an_alarm_goes_off_under_so_many(stack: cdk.Stack, live: lambda_.Alias) -> None:
    """For each target, by its ARN as it is invoked."""
    made = KeepWarm(stack, "Warm", targets=[live, plain(stack)], concurrency=5)
    alarm = found(stack, "AWS::CloudWatch::Alarm", "WarmTarget0Alarm")
    assert (alarm["Namespace"], alarm["MetricName"], alarm["Statistic"]) == (
        "AkConstructs",
        "WarmEnvironments",
        "Minimum",
    )
    assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (5, "LessThanThreshold")
    assert (alarm["Period"], alarm["EvaluationPeriods"], alarm["TreatMissingData"]) == (300, 1, "missing")
    dimensions = {dimension["Name"]: dimension["Value"] for dimension in alarm["Dimensions"]}
    assert dimensions == {
        "Target": stack.resolve(live.function_arn),
        "Warmer": stack.resolve(made.warmer.function_name),
    }
    other = found(stack, "AWS::CloudWatch::Alarm", "WarmTarget1Alarm")["Dimensions"][0]["Value"]
    assert other == {"Fn::GetAtt": ["Plain295EB121", "Arn"]}
    errors = found(stack, "AWS::CloudWatch::Alarm", "WarmErrorsAlarm")
    assert (errors["Namespace"], errors["MetricName"], errors["Threshold"]) == ("AWS/Lambda", "Errors", 1)
    assert [alarm.node.id for alarm in made.alarms] == ["Target0Alarm", "Target1Alarm", "ErrorsAlarm"]


@pytest.mark.parametrize(
    ("schedule", "seconds", "silence"),
    [
        ("rate(1 minute)", 300, "missing"),
        ("rate(5 minutes)", 300, "missing"),
        ("rate(2 hours)", 7200, "missing"),
        ("rate(1 day)", 86_400, "missing"),
        ("rate(2 days)", 300, "notBreaching"),
        ("cron(0/5 8-17 ? * MON-FRI *)", 300, "notBreaching"),
        ("at(2030-01-01T00:00:00)", 300, "notBreaching"),
    ],
)
def test_rounds_that_do_not_come_are_noticed_where_it_is_known_how_often_they_should(
    stack: cdk.Stack, live: lambda_.Alias, schedule: str, seconds: int, silence: str
) -> None:
    """The alarm then has too little data; at night, for one, that is fine."""
    expression = scheduler.ScheduleExpression.expression(schedule)
    KeepWarm(stack, "Warm", targets=[live], schedule=expression)
    alarm = found(stack, "AWS::CloudWatch::Alarm", "WarmTarget0Alarm")
    assert (alarm["Period"], alarm["EvaluationPeriods"], alarm["TreatMissingData"]) == (seconds, 1, silence)


def test_another_one_of_the_same_target_at_other_hours_has_metrics_of_its_own(
    stack: cdk.Stack, live: lambda_.Alias
) -> None:
    """Or the night's one environment would set off the alarm of the day's five."""
    by_day = KeepWarm(stack, "Day", targets=[live], concurrency=5).metric_warm_environments(live)
    by_night = KeepWarm(stack, "Night", targets=[live]).metric_warm_environments(live)
    assert stack.resolve(by_day.dimensions) != stack.resolve(by_night.dimensions)


def test_every_metric_can_be_put_on_a_dashboard(stack: cdk.Stack, live: lambda_.Alias) -> None:
    """With the statistic that makes sense of it."""
    warm = KeepWarm(stack, "Warm", targets=[live])
    metrics = [warm.metric_warm_environments(live), warm.metric_cold_starts(live), warm.metric_ping_failures(live)]
    assert [(metric.metric_name, metric.statistic) for metric in metrics] == [
        ("WarmEnvironments", "Minimum"),
        ("ColdStarts", "Sum"),
        ("PingFailures", "Sum"),
    ]
    assert {(metric.dimensions or {})["Target"] for metric in metrics} == {live.function_arn}


def test_a_version_and_an_imported_function_can_be_targets(stack: cdk.Stack, agent: AgentFunction) -> None:
    """Of the second nothing is known: a minute is its timeout."""
    arn = "arn:aws:lambda:us-east-1:123456789012:function:other:live"
    imported = lambda_.Function.from_function_arn(stack, "Imported", arn)
    KeepWarm(stack, "Warm", targets=[agent.current_version, imported])
    told = variables(stack)
    assert told["AK_CONSTRUCTS_WARM_WAIT_SECONDS"] == "70"
    version = next(name for name, type_ in logical_ids(stack).items() if type_ == "AWS::Lambda::Version")
    assert str(told["AK_CONSTRUCTS_WARM_TARGETS"]).count(version.removesuffix("<hash>")) == 1
    assert arn in str(told["AK_CONSTRUCTS_WARM_TARGETS"])


def test_a_target_may_lie_in_another_stack(app: cdk.App, live: lambda_.Alias) -> None:
    """The two are deployed one after the other."""
    other = cdk.Stack(app, "Other")
    KeepWarm(other, "Warm", targets=[live])
    assert "Fn::ImportValue" in str(variables(other)["AK_CONSTRUCTS_WARM_TARGETS"])


def test_office_hours_in_a_time_zone_and_a_window_are_the_schedules(stack: cdk.Stack, live: lambda_.Alias) -> None:
    """Nights and weekends cost nothing."""
    KeepWarm(
        stack,
        "Warm",
        targets=[live],
        schedule=scheduler.ScheduleExpression.cron(
            minute="0/5", hour="8-18", week_day="MON-FRI", time_zone=cdk.TimeZone.EUROPE_PARIS
        ),
        time_window=scheduler.TimeWindow.flexible(cdk.Duration.minutes(2)),
    )
    schedule = found(stack, "AWS::Scheduler::Schedule")
    assert schedule["ScheduleExpression"] == "cron(0/5 8-18 ? * MON-FRI *)"
    assert schedule["ScheduleExpressionTimezone"] == "Europe/Paris"
    assert schedule["FlexibleTimeWindow"] == {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 2}


@pytest.mark.parametrize(("seconds", "hold", "most"), [(3, 1500, 1500), (29, 5000, 5000), (1, 0, 500)])
def test_a_hold_fits_into_the_shortest_timeout(stack: cdk.Stack, seconds: int, hold: int, most: int) -> None:
    """Twice, since the environment has to start, too."""
    target = plain(stack, timeout=cdk.Duration.seconds(seconds))
    KeepWarm(stack, "Warm", targets=[target], hold=cdk.Duration.millis(hold))
    told = variables(stack)
    assert (told["AK_CONSTRUCTS_WARM_HOLD_MS"], told["AK_CONSTRUCTS_WARM_MAX_HOLD_MS"]) == (str(hold), str(most))


def test_a_hold_fits_into_the_timeout_of_every_target(stack: cdk.Stack) -> None:
    """The other one has time."""
    targets = [plain(stack, name, timeout=cdk.Duration.seconds(seconds)) for name, seconds in (("A", 60), ("B", 2))]
    with pytest.raises(ValueError, match=r"^hold must be 0 to 1000 ms, got 1001 ms"):
        KeepWarm(stack, "Long", targets=targets, hold=cdk.Duration.millis(1001))
    KeepWarm(stack, "Warm", targets=targets)
    assert variables(stack)["AK_CONSTRUCTS_WARM_WAIT_SECONDS"] == "70"


def test_a_deployment_of_this_stack_warms_too(stack: cdk.Stack, live: lambda_.Alias) -> None:
    """Once the alias has moved, forth or back; nobody else's deployment does."""
    KeepWarm(stack, "Warm", targets=[live], after_deployment=True)
    rule = found(stack, "AWS::Events::Rule")
    assert rule["EventPattern"] == {
        "source": ["aws.cloudformation"],
        "detail-type": ["CloudFormation Stack Status Change"],
        "detail": {
            "stack-id": [{"Ref": "AWS::StackId"}],
            "status-details": {"status": ["CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"]},
        },
    }
    assert "WarmWarmer" in str(rule["Targets"][0]["Arn"])
    permission = found(stack, "AWS::Lambda::Permission")
    assert permission["Principal"] == "events.amazonaws.com"
    assert "WarmDeployment" in str(permission["SourceArn"])


def test_nothing_listens_to_deployments_by_default(stack: cdk.Stack, live: lambda_.Alias) -> None:
    """The schedule is enough for most."""
    KeepWarm(stack, "Warm", targets=[live])
    Template.from_stack(stack).resource_count_is("AWS::Events::Rule", 0)


def test_a_hundred_pings_are_one_warmers(stack: cdk.Stack) -> None:
    """Of fifteen targets at most, or of one."""
    targets = [plain(stack, f"Plain{number}") for number in range(15)]
    KeepWarm(stack, "Warm", targets=targets, concurrency=6)
    KeepWarm(stack, "Hundred", targets=targets[:1], concurrency=100)
    Template.from_stack(stack).resource_count_is("AWS::CloudWatch::Alarm", 18)


def test_the_longest_arns_fit_into_the_warmers_variables(stack: cdk.Stack) -> None:
    """All variables of a function together may have 4 KB."""
    arn = f"arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:{'f' * 64}:{'a' * 126}"
    targets = [lambda_.Function.from_function_arn(stack, f"F{number}", f"{arn}{number:02}") for number in range(15)]
    KeepWarm(stack, "Warm", targets=targets, concurrency=6)
    assert sum(len(name) + len(value) for name, value in variables(stack).items()) < 4096


def test_fails_without_a_target(stack: cdk.Stack) -> None:
    """Nothing would be warmed."""
    message = r"^targets must have at least one alias, version or function, got none; leave KeepWarm out$"
    with pytest.raises(ValueError, match=message):
        KeepWarm(stack, "Warm", targets=[])


def test_fails_with_too_many_targets(stack: cdk.Stack) -> None:
    """Their names would not fit."""
    targets = [plain(stack, f"Plain{number}") for number in range(16)]
    message = r"^the number of targets must be at most 15, got 16; make a second KeepWarm for the others$"
    with pytest.raises(ValueError, match=message):
        KeepWarm(stack, "Warm", targets=targets)


@pytest.mark.parametrize("name", ["*", "agent-*", "agent-?"])
def test_fails_with_a_target_whose_name_would_match_others(stack: cdk.Stack, name: str) -> None:
    """What the warmer may invoke is said by that name."""
    target = lambda_.Function.from_function_name(stack, "Imported", name)
    message = rf"^the name of Stack/Imported must be a function's without wildcards, got {re.escape(repr(name))}$"
    with pytest.raises(ValueError, match=message):
        KeepWarm(stack, "Warm", targets=[target])


def test_fails_with_a_target_given_twice(stack: cdk.Stack, live: lambda_.Alias) -> None:
    """Its pings would meet each other's environments."""
    message = r"^targets must be different, got Stack/Agent/Aliaslive twice; raise concurrency instead$"
    with pytest.raises(ValueError, match=message):
        KeepWarm(stack, "Warm", targets=[live, live])


@pytest.mark.parametrize("concurrency", [0, 101, -1])
def test_fails_when_concurrency_is_out_of_range(stack: cdk.Stack, live: lambda_.Alias, concurrency: int) -> None:
    """One warmer sends up to a hundred pings at once."""
    with pytest.raises(ValueError, match=rf"^concurrency must be 1 to 100, got {concurrency}; leave it out or change"):
        KeepWarm(stack, "Warm", targets=[live], concurrency=concurrency)


def test_fails_when_concurrency_is_only_known_at_deployment(stack: cdk.Stack, live: lambda_.Alias) -> None:
    """Whether enough is reserved could not be said."""
    token: Any = cdk.CfnParameter(stack, "Count", type="Number").value_as_number
    message = (
        r"^concurrency must be known at synthesis, got a token; give a number, on which the targets' settings depend$"
    )
    with pytest.raises(ValueError, match=message):
        KeepWarm(stack, "Warm", targets=[live], concurrency=token)


def test_fails_with_more_pings_than_one_warmer_can_send_at_once(stack: cdk.Stack) -> None:
    """The first would end before the last began."""
    targets = [plain(stack, f"Plain{number}") for number in range(3)]
    message = (
        r"^concurrency times the number of targets must be at most 100, got 102; one warmer sends them at once; make "
        r"a second KeepWarm for the other targets$"
    )
    with pytest.raises(ValueError, match=message):
        KeepWarm(stack, "Warm", targets=targets, concurrency=34)


@pytest.mark.parametrize(
    ("seconds", "hold", "most", "got"),
    [
        (29, cdk.Duration.millis(5001), 5000, "5001 ms"),
        (3, cdk.Duration.millis(1501), 1500, "1501 ms"),
        (29, cdk.Duration.millis(cdk.Token.as_number({"Ref": "X"})), 5000, "a token"),
    ],
)
def test_fails_when_a_ping_is_held_for_too_long(
    stack: cdk.Stack, seconds: int, hold: cdk.Duration, most: int, got: str
) -> None:
    """The runner lets go of it, or Lambda kills it."""
    message = (
        rf"^hold must be 0 to {most} ms, got {got}; it is bounded by 5000 ms and by half the shortest timeout of the "
        r"targets$"
    )
    with pytest.raises(ValueError, match=message):
        KeepWarm(stack, "Warm", targets=[plain(stack, timeout=cdk.Duration.seconds(seconds))], hold=hold)


def test_fails_when_a_deployment_of_another_stack_is_awaited(app: cdk.App, live: lambda_.Alias) -> None:
    """Its events name that stack, and the alias moves there."""
    other = cdk.Stack(app, "Other")
    message = (
        r"^after_deployment must be False for a target of another stack, got Stack/Agent/Aliaslive; define KeepWarm "
        r"in Stack$"
    )
    with pytest.raises(ValueError, match=message):
        KeepWarm(other, "Warm", targets=[live], after_deployment=True)


# A target, and what makes a ping to it pointless: which may come before KeepWarm or after it.
Late = tuple[lambda_.IFunction, Callable[[], None]]


def on_managed_instances(stack: cdk.Stack) -> Late:
    """Put a function on a pool, late."""
    function = plain(stack, memory_size=2048)
    pool = capacity(stack)

    def change() -> None:
        pool.add_function(function)

    return function, change


def with_snap_start(stack: cdk.Stack) -> Late:
    """Turn SnapStart on, late."""
    function = plain(stack)
    alias = function.add_alias("live")

    def change() -> None:
        resource: Any = function.node.default_child
        resource.snap_start = lambda_.CfnFunction.SnapStartProperty(apply_on="PublishedVersions")

    return alias, change


def with_tenants(stack: cdk.Stack) -> Late:
    """Isolate tenants, late."""
    function = plain(stack)

    def change() -> None:
        resource: Any = function.node.default_child
        resource.tenancy_config = lambda_.CfnFunction.TenancyConfigProperty(tenant_isolation_mode="PER_TENANT")

    return function, change


def with_provisioned_alias(stack: cdk.Stack) -> Late:
    """Give an alias provisioned concurrency, late."""
    alias = plain(stack).add_alias("live")

    def change() -> None:
        resource: Any = alias.node.default_child
        resource.provisioned_concurrency_config = lambda_.CfnAlias.ProvisionedConcurrencyConfigurationProperty(
            provisioned_concurrent_executions=1
        )

    return alias, change


def with_provisioned_version(stack: cdk.Stack) -> Late:
    """Give the version of an alias provisioned concurrency, late."""
    function = plain(stack)
    alias = function.add_alias("live")

    def change() -> None:
        resource: Any = function.current_version.node.default_child
        resource.provisioned_concurrency_config = lambda_.CfnVersion.ProvisionedConcurrencyConfigurationProperty(
            provisioned_concurrent_executions=1
        )

    return alias, change


def with_provisioned_target(stack: cdk.Stack) -> Late:
    """Give a version that is itself the target provisioned concurrency, late."""
    version = plain(stack).current_version

    def change() -> None:
        resource: Any = version.node.default_child
        resource.provisioned_concurrency_config = lambda_.CfnVersion.ProvisionedConcurrencyConfigurationProperty(
            provisioned_concurrent_executions=1
        )

    return version, change


def with_autoscaling(stack: cdk.Stack) -> Late:
    """Have provisioned concurrency scaled, late."""
    alias = plain(stack).add_alias("live")

    def change() -> None:
        alias.add_auto_scaling(max_capacity=5)

    return alias, change


def with_little_reserved(stack: cdk.Stack) -> Late:
    """Reserve less than twice what is kept warm, late."""
    function = plain(stack)

    def change() -> None:
        resource: Any = function.node.default_child
        resource.reserved_concurrent_executions = 9

    return function, change


PROVISIONED = (
    r"targets must not have provisioned concurrency, got Stack/Plain/\w+; Lambda keeps its environments warm: leave "
    r"KeepWarm out, or the provisioned concurrency"
)
REFUSED = pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            on_managed_instances,
            (
                r"targets must not run on managed instances, got Stack/Plain; they have no cold starts: use "
                r"SharedCapacityProvider\.add_environments_schedule for a scheduled minimum"
            ),
        ),
        (
            with_snap_start,
            (
                r"targets must not have SnapStart, got Stack/Plain/Aliaslive; it makes each start short without pings: "
                r"leave KeepWarm out, or SnapStart"
            ),
        ),
        (
            with_tenants,
            (
                r"targets must not isolate tenants, got Stack/Plain; a ping is no tenant's and warms nobody's "
                r"environment: make the start shorter instead"
            ),
        ),
        (with_provisioned_alias, PROVISIONED),
        (with_provisioned_version, PROVISIONED),
        (with_provisioned_target, PROVISIONED),
        (with_autoscaling, PROVISIONED),
        (
            with_little_reserved,
            (
                r"reserved_concurrent_executions must be at least twice KeepWarm's pings at once \(10\), got 9 of "
                r"Stack/Plain; pings take 5 while they last, and callers would be throttled: raise it, or lower "
                r"concurrency"
            ),
        ),
    ],
)
Make = Callable[[cdk.Stack], Late]


def test_what_a_refusal_names_instead_is_there() -> None:
    """For managed instances."""
    assert callable(SharedCapacityProvider.add_environments_schedule)


@REFUSED
def test_fails_where_a_ping_is_pointless(stack: cdk.Stack, make: Make, message: str) -> None:
    """And says what to use."""
    target, change = make(stack)
    change()
    with pytest.raises(ValueError, match=f"^{message}$"):
        KeepWarm(stack, "Warm", targets=[target], concurrency=5)


@REFUSED
def test_fails_at_synthesis_where_a_ping_became_pointless(
    app: cdk.App, stack: cdk.Stack, make: Make, message: str
) -> None:
    """The order of lines does not matter."""
    target, change = make(stack)
    KeepWarm(stack, "Warm", targets=[target], concurrency=5)
    change()
    with pytest.raises(RuntimeError, match=rf"\[Stack/Warm\] {message}"):
        app.synth()


@pytest.mark.parametrize("reserved", [10, cdk.Token.as_number({"Ref": "X"}), None], ids=["twice", "token", "none"])
def test_twice_as_much_reserved_concurrency_is_enough(stack: cdk.Stack, reserved: int | None) -> None:
    """Or what is only known at deployment, or none."""
    target = plain(stack, reserved_concurrent_executions=reserved)
    assert KeepWarm(stack, "Warm", targets=[target], concurrency=5).concurrency == 5


def test_aliases_of_one_function_share_what_it_reserves(stack: cdk.Stack) -> None:
    """Both are pinged at the same moment."""
    function = plain(stack, reserved_concurrent_executions=19)
    targets = [function.add_alias("live"), function.add_alias("next")]
    message = r"at least twice KeepWarm's pings at once \(20\), got 19 of Stack/Plain/Aliaslive; pings take 10 while"
    with pytest.raises(ValueError, match=message):
        KeepWarm(stack, "Warm", targets=targets, concurrency=5)
    resource: Any = function.node.default_child
    resource.reserved_concurrent_executions = 20
    assert KeepWarm(stack, "Enough", targets=[*targets, plain(stack, "Other")], concurrency=5).concurrency == 5


def test_snap_start_that_is_off_is_no_reason(stack: cdk.Stack) -> None:
    """CloudFormation knows a word for that, too."""
    function = plain(stack)
    resource: Any = function.node.default_child
    resource.snap_start = lambda_.CfnFunction.SnapStartProperty(apply_on="None")
    assert KeepWarm(stack, "Warm", targets=[function]).targets == [function]


def warnings(stack: cdk.Stack) -> list[str]:
    """Give what synthesis warns of.

    Read from the constructs: aws-cdk-lib and a dependency of it both install `aws_cdk.cloud_assembly_schema`, and jsii
    cannot make the type of what `find_warning` gives where the dependency came last.
    """
    assertions.Annotations.from_stack(stack)
    entries = [entry for each in stack.node.find_all() for entry in each.node.metadata]
    return [str(each.data) for each in entries if "ak-constructs:keep_warm" in str(each.data)]


def test_a_function_whose_alias_is_not_pinged_is_warned_of(stack: cdk.Stack, agent: AgentFunction) -> None:
    """Environments belong to a version; the alias may come later."""
    KeepWarm(stack, "Warm", targets=[agent])
    agent.add_alias("live")
    plain(stack).add_alias("other")
    (warning,) = warnings(stack)
    assert warning.startswith(
        "Stack/Agent is pinged, but requests that go to its alias Stack/Agent/Aliaslive meet other environments; "
        "give the alias as a target"
    )


def test_an_alias_as_target_is_nothing_to_warn_of(stack: cdk.Stack, live: lambda_.Alias) -> None:
    """Nor is a function without one, or an alias of an imported function beside it."""
    arn = "arn:aws:lambda:us-east-1:123456789012:function:other:3"
    version = lambda_.Version.from_version_arn(stack, "Imported", arn)
    lambda_.Alias(stack, "Foreign", alias_name="live", version=version)
    KeepWarm(stack, "Warm", targets=[live, plain(stack)])
    assert warnings(stack) == []


def test_the_warmer_may_invoke_exactly_its_targets(stack: cdk.Stack, live: lambda_.Alias) -> None:
    """The alias and nothing else of its function; a function without its versions."""
    KeepWarm(stack, "Warm", targets=[live, plain(stack)])
    granted = [each for each in statements(stack, "WarmWarmerRole") if each[0] != LOGS and each != XRAY]
    assert granted == [
        (
            ("lambda:InvokeFunction",),
            [{"Ref": "AgentAliaslive014B3E1B"}, {"Fn::GetAtt": ["Plain295EB121", "Arn"]}],
        )
    ]
    warmer = {"Fn::GetAtt": ["WarmWarmer56781DE6", "Arn"]}
    assert statements(stack, "WarmScheduleRole") == [(("lambda:InvokeFunction",), warmer)]


def test_logical_ids_are_stable(stack: cdk.Stack, live: lambda_.Alias) -> None:
    """Changing one replaces a user's resource."""
    KeepWarm(stack, "Warm", targets=[live], after_deployment=True)
    assert {name: type_ for name, type_ in logical_ids(stack).items() if name.startswith("Warm")} == {
        "WarmDeployment47AC7661": "AWS::Events::Rule",
        "WarmDeploymentAllowEventRuleStackWarmWarmer30D528B92EEAAFAB": "AWS::Lambda::Permission",
        "WarmErrorsAlarm909B569C": "AWS::CloudWatch::Alarm",
        "WarmSchedule44CE476C": "AWS::Scheduler::Schedule",
        "WarmScheduleRoleDefaultPolicyB1DC769E": "AWS::IAM::Policy",
        "WarmScheduleRoleF069B976": "AWS::IAM::Role",
        "WarmTarget0Alarm642E06B1": "AWS::CloudWatch::Alarm",
        "WarmWarmer56781DE6": "AWS::Lambda::Function",
        "WarmWarmerLogs347EB1E5": "AWS::Logs::LogGroup",
        "WarmWarmerRoleD36526F0": "AWS::IAM::Role",
        "WarmWarmerRoleDefaultPolicy8B932B20": "AWS::IAM::Policy",
    }


def test_snapshot_of_the_defaults(stack: cdk.Stack, live: lambda_.Alias, snapshot: SnapshotAssertion) -> None:
    """Guards ids and surprises."""
    KeepWarm(stack, "Warm", targets=[live])
    assert normalised(stack) == snapshot.use_extension(JSONSnapshotExtension)


def test_snapshot_of_everything_set(stack: cdk.Stack, entry: Path, snapshot: SnapshotAssertion) -> None:
    """Guards ids and surprises."""
    agents = [AgentFunction(stack, name, entry=entry).add_alias("live") for name in ("One", "Two")]
    KeepWarm(
        stack,
        "Warm",
        targets=agents,
        concurrency=5,
        schedule=scheduler.ScheduleExpression.cron(minute="0/5", hour="8-18", time_zone=cdk.TimeZone.EUROPE_PARIS),
        time_window=scheduler.TimeWindow.flexible(cdk.Duration.minutes(2)),
        hold=cdk.Duration.seconds(1),
        after_deployment=True,
    )
    assert normalised(stack) == snapshot.use_extension(JSONSnapshotExtension)
