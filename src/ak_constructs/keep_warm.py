"""Keep environments of a function warm by pinging them on a schedule."""

import re
from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as events_targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_scheduler as scheduler
from constructs import Construct

from ak_constructs._alarms import METRICS_EVERY, define_alarm, own_metric
from ak_constructs._function import Surroundings, define_function
from ak_constructs._limits import LAMBDA_INIT_SECONDS, LAMBDA_TIMEOUT_SECONDS, LAMBDA_VCPU_MIB
from ak_constructs._schedule import define_schedule
from ak_constructs._validation import AtSynthesis, check_at_most, check_between, check_matches, check_whole
from ak_constructs._warmth import aliases_of, refusals, shortest_and_longest_timeout

DEFAULT_HOLD = cdk.Duration.millis(500)
DEFAULT_MINUTES = 5
DEFAULT_SCHEDULE = scheduler.ScheduleExpression.rate(cdk.Duration.minutes(DEFAULT_MINUTES))
MAX_HOLD_MS = 5000
MAX_PINGS = 100
MAX_TARGETS = 15  # their ARNs, as long as ARNs may be, fit into the 4 KB that a function's variables may have
UNKNOWN_TIMEOUT_SECONDS = 60
WARMER_MEMORY_MIB = LAMBDA_VCPU_MIB  # a new TLS connection for each ping: about 4 ms of a processor, measured
MARGIN_SECONDS = 30  # for both rounds to begin, and for the log

_UNIT_SECONDS = {"minute": 60, "hour": 3600, "day": 86_400}

# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/event-detail-stack-status-change.html, read 2026-11-21
DEPLOYED = ["CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"]


class KeepWarm(Construct):
    """Defines a schedule that keeps so many environments of each target warm, and says how many are.

    ```text
    schedule -> warmer -> `concurrency` pings at once to each target, held until all have started
                   |          |
                   |          v  which environment answered, and was it cold?
                   v
              WarmEnvironments, ColdStarts, PingFailures -> an alarm when fewer than `concurrency` are warm
    ```

    **Give the alias that callers invoke**: environments belong to a version, and a ping to the function meets
    others than a request to its alias. The pings of one round start at the same moment, and each holds its environment
    for `hold`, so that no environment can answer two. If too few different ones answer all the same, a second round
    holds four times as long. The warmer waits as long as a cold start and the target's timeout may take.

    **Who answers a ping**: the runner of an `AgentFunction`; a handler of your own in its folder with
    `ak_lambda.keep_warm.answers_ping`; any other Python code with the eight lines in `docs/keep-warm.md`. A target that
    does not know pings runs on `{"ak_constructs_ping": {"hold_ms": 500}}` as on any event; the log says so and the
    alarm goes off. The runner takes the pings of lambda-warmer, serverless-plugin-warmup, toastypy, the tag-based
    warmer for Terraform, and bare scheduled events of EventBridge too.

    **When to use**: when a cold start is too slow and provisioned concurrency too dear; `docs/keep-warm.md` has both
    prices. A ping never guarantees anything: AWS does not say for how long it keeps an environment, ends each
    within hours, and starts more for more callers than `concurrency`. SnapStart, provisioned concurrency and managed
    instances (with `SharedCapacityProvider.add_environments_schedule`) do without, and such targets are refused.

    **The alarm** of a target goes off after one round with fewer than `concurrency`. While the schedule rests, as at
    night, there is no data, and no data is no alarm. Where the schedule is a rate of a day or less, an alarm whose
    rounds do not come says INSUFFICIENT_DATA: `alarm.add_insufficient_data_action(...)` tells somebody. The metrics are
    in the namespace `AkConstructs`, by the target's ARN and the warmer's name: two `KeepWarm` of one target do not
    disturb each other.

    **With `after_deployment`** the warmer also runs when this stack has been created, updated or rolled back. The
    alias has moved by then: the first callers of a new version may still be earlier.

    **Resources**, ids relative to this construct: `Warmer`, `WarmerRole` and `WarmerLogs` the function (1769 MiB, which
    is one whole processor: it has a hundred new connections to make at once) with role and log group; `Schedule` and
    `ScheduleRole`; `Deployment` the rule, with `after_deployment`; `Target0Alarm` and on, one for each target, and
    `ErrorsAlarm`. They cost what the warmer's and the targets' runs cost, and what CloudWatch charges for three metrics
    of each target and for the alarms.

    **Permissions** of the warmer: `lambda:InvokeFunction` on exactly the targets, and in a VPC what `AgentFunction`
    says of one. Of the schedule: the same on the warmer. With a `key` nothing more.

    **Not included**: whom the alarms tell (`for alarm in warm.alarms: alarm.add_alarm_action(...)`), other
    concurrency at other hours: make a second `KeepWarm` of the same targets, whose schedule has those.

    Args:
        scope: The parent.
        id: The id, unique in the parent.
        targets: Aliases, versions or functions, at most 15, of this or another stack, or imported.
        concurrency: How many environments of each target to keep warm; times the targets at most 100. Defaults to 1.
        schedule: When to ping. Defaults to every 5 minutes. A cron expression with `time_zone` keeps to office hours.
        time_window: Within how many minutes the schedule may start the warmer. Defaults to at once.
        hold: How long a ping holds its environment, up to 5000 ms or half the shortest timeout of the targets. Defaults
            to 500 ms, as the warmer has 100 pings under way within that.
        after_deployment: Whether to ping after a deployment of this stack, too. Defaults to no.
        key: Encrypts the warmer's variables and logs. Defaults to keys of AWS's. An imported key must let CloudWatch
            Logs use it: `docs/private.md` has the statement.
        vpc: The network of the warmer, which must lead to Lambda's API. Defaults to none.
        vpc_subnets: Which subnets of `vpc`. Defaults to the private ones.
        security_groups: Needs `vpc`. Defaults to a group of its own that may call everybody.

    Attributes:
        alarms: One for each target, in their order, then that for the warmer's own errors.
        concurrency: How many environments of each target are kept warm.
        schedule: The schedule.
        targets: The targets as they were given.
        warmer: The function that pings; invoke it to warm now. It returns what it met.

    Raises:
        ValueError: There is no target, one is given twice, or there are too many; a target runs on managed instances,
            has provisioned concurrency, SnapStart or tenant isolation, or reserved concurrency under twice the pings
            that it gets at once; a number or duration is out of range; `after_deployment` with a target of another
            stack. What is only set later on a target is found at synthesis.

    Example:
        ```python
        from aws_cdk import aws_scheduler as scheduler

        agent = AgentFunction(stack, "Agent", entry="examples/chat_api/agent")
        live = agent.add_alias("live")
        AgentApi(stack, "Api", agent=live)
        KeepWarm(
            stack,
            "Warm",
            targets=[live],
            concurrency=5,
            schedule=scheduler.ScheduleExpression.cron(
                minute="0/5", hour="8-18", week_day="MON-FRI", time_zone=cdk.TimeZone.EUROPE_PARIS
            ),
        )
        ```

    Sources:
        How long environments live: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
        Events of a deployment:
        https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/event-detail-stack-status-change.html
        No cold starts on managed instances:
        https://docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances-scaling.html
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        targets: Sequence[lambda_.FunctionBase | lambda_.IFunction],
        concurrency: int = 1,
        schedule: scheduler.ScheduleExpression = DEFAULT_SCHEDULE,
        time_window: scheduler.TimeWindow | None = None,
        hold: cdk.Duration = DEFAULT_HOLD,
        after_deployment: bool = False,
        key: kms.Key | kms.IKey | None = None,
        vpc: ec2.IVpc | None = None,
        vpc_subnets: ec2.SubnetSelection | None = None,
        security_groups: Sequence[ec2.ISecurityGroup] | None = None,
    ) -> None:
        super().__init__(scope, id)
        _check_targets(targets)
        _check_concurrency(concurrency, targets)
        for refusal in refusals(targets, concurrency):
            raise ValueError(refusal)
        shortest, longest = shortest_and_longest_timeout(targets, unknown=UNKNOWN_TIMEOUT_SECONDS)
        max_hold_ms = min(MAX_HOLD_MS, shortest * 500)
        _check_hold(hold, max_hold_ms)
        if after_deployment:
            _check_stack(self, targets)

        self.targets: Sequence[lambda_.IFunction] = list(targets)
        self.concurrency: int = concurrency
        around = Surroundings(key=key, vpc=vpc, vpc_subnets=vpc_subnets, security_groups=security_groups)
        self.warmer: lambda_.Function = self._define_warmer(longest, around)
        self._tell_warmer(longest, hold, max_hold_ms)
        self.schedule: scheduler.Schedule = define_schedule(
            self,
            "Schedule",
            function=self.warmer,
            schedule=schedule,
            time_window=time_window,
            description="Keeps environments warm",
        )
        if after_deployment:
            self._define_deployment_rule()
        self.alarms: Sequence[cloudwatch.Alarm] = self._define_alarms(_rate_of(schedule))
        self.node.add_validation(AtSynthesis(self._refusals))

    def metric_warm_environments(self, target: lambda_.FunctionBase | lambda_.IFunction) -> cloudwatch.Metric:
        """Give the number of different environments that answered, the least in 5 minutes."""
        return self._metric("WarmEnvironments", target, "Minimum")

    def metric_cold_starts(self, target: lambda_.FunctionBase | lambda_.IFunction) -> cloudwatch.Metric:
        """Give the number of environments that a ping had to start, the sum in 5 minutes."""
        return self._metric("ColdStarts", target, "Sum")

    def metric_ping_failures(self, target: lambda_.FunctionBase | lambda_.IFunction) -> cloudwatch.Metric:
        """Give the number of pings that were throttled, failed, or met a target that knows none, the sum in 5 min."""
        return self._metric("PingFailures", target, "Sum")

    def _metric(self, name: str, target: lambda_.IFunction, statistic: str) -> cloudwatch.Metric:
        dimensions = {"Target": target.function_arn, "Warmer": self.warmer.function_name}
        return own_metric(name, dimensions=dimensions, statistic=statistic)

    def _define_warmer(self, longest: int, around: Surroundings) -> lambda_.Function:
        warmer = define_function(
            self,
            "Warmer",
            handler="ak_lambda.keep_warm.handler.handler",
            memory_size=WARMER_MEMORY_MIB,
            timeout=cdk.Duration.seconds(min(2 * _wait_seconds(longest) + MARGIN_SECONDS, LAMBDA_TIMEOUT_SECONDS)),
            around=around,
        )
        arns = [target.function_arn for target in self.targets]
        warmer.add_to_role_policy(iam.PolicyStatement(actions=["lambda:InvokeFunction"], resources=arns))
        return warmer

    def _tell_warmer(self, longest: int, hold: cdk.Duration, max_hold_ms: int) -> None:
        for name, value in {
            "AK_CONSTRUCTS_WARM_TARGETS": ",".join(target.function_arn for target in self.targets),
            "AK_CONSTRUCTS_WARM_CONCURRENCY": str(self.concurrency),
            "AK_CONSTRUCTS_WARM_HOLD_MS": str(int(hold.to_milliseconds())),
            "AK_CONSTRUCTS_WARM_MAX_HOLD_MS": str(max_hold_ms),
            "AK_CONSTRUCTS_WARM_WAIT_SECONDS": str(_wait_seconds(longest)),
        }.items():
            self.warmer.add_environment(name, value)

    def _define_deployment_rule(self) -> None:
        events.Rule(
            self,
            "Deployment",
            description="Warms after a deployment",
            event_pattern=events.EventPattern(
                source=["aws.cloudformation"],
                detail_type=["CloudFormation Stack Status Change"],
                detail={"stack-id": [cdk.Stack.of(self).stack_id], "status-details": {"status": DEPLOYED}},
            ),
            targets=[events_targets.LambdaFunction(self.warmer)],
        )

    def _define_alarms(self, rate: cdk.Duration | None) -> list[cloudwatch.Alarm]:
        """Define an alarm for each target; where it is known how often there should be data, silence is noticed."""
        alarms = [
            define_alarm(
                self,
                f"Target{number}Alarm",
                metric=self.metric_warm_environments(target).with_(period=rate or METRICS_EVERY),
                threshold=self.concurrency,
                below=True,
                silence_is_fine=rate is None,
                description="Fewer environments are warm than wanted; the warmer's log says why",
            )
            for number, target in enumerate(self.targets)
        ]
        errors = define_alarm(
            self,
            "ErrorsAlarm",
            metric=self.warmer.metric_errors(),
            threshold=1,
            description="The warmer itself fails; nothing is kept warm",
        )
        return [*alarms, errors]

    def _refusals(self) -> list[str]:
        """Say why targets are refused, as they stand when the app is synthesised; warn of what is only doubtful."""
        for target in self.targets:
            for alias in aliases_of(target, self.node.root):
                cdk.Annotations.of(self).add_warning_v2(
                    "ak-constructs:keep_warm.alias",
                    f"{target.node.path} is pinged, but requests that go to its alias {alias.node.path} meet other "
                    "environments; give the alias as a target",
                )
        return refusals(self.targets, self.concurrency)


def _check_targets(targets: Sequence[lambda_.IFunction]) -> None:
    if not targets:
        raise ValueError("targets must have at least one alias, version or function, got none; leave KeepWarm out")
    check_at_most("the number of targets", len(targets), MAX_TARGETS, "make a second KeepWarm for the others")
    seen: set[str] = set()
    for target in targets:
        if target.function_arn in seen:
            raise ValueError(f"targets must be different, got {target.node.path} twice; raise concurrency instead")
        seen.add(target.function_arn)
        named = target.function_arn.rpartition(":function:")[2]  # IAM would take a wildcard in it for all it matches
        check_matches(f"the name of {target.node.path}", named, r"[^*?]+", "a function's without wildcards")


def _check_concurrency(concurrency: int, targets: Sequence[lambda_.IFunction]) -> None:
    if cdk.Token.is_unresolved(concurrency):
        raise ValueError(
            "concurrency must be known at synthesis, got a token; give a number, on which the targets' settings depend"
        )
    check_whole("concurrency", concurrency)
    check_between("concurrency", concurrency, (1, MAX_PINGS))
    remedy = "one warmer sends them at once; make a second KeepWarm for the other targets"
    check_at_most("concurrency times the number of targets", concurrency * len(targets), MAX_PINGS, remedy)


def _check_hold(hold: cdk.Duration, most_ms: int) -> None:
    if hold.is_unresolved() or not 0 <= hold.to_milliseconds() <= most_ms:
        got = "a token" if hold.is_unresolved() else f"{hold.to_milliseconds():g} ms"
        raise ValueError(
            f"hold must be 0 to {most_ms} ms, got {got}; it is bounded by {MAX_HOLD_MS} ms and by half the shortest "
            "timeout of the targets"
        )


def _check_stack(warm: KeepWarm, targets: Sequence[lambda_.IFunction]) -> None:
    for target in targets:
        if cdk.Stack.of(target) is not cdk.Stack.of(warm):
            raise ValueError(
                f"after_deployment must be False for a target of another stack, got {target.node.path}; "
                f"define KeepWarm in {cdk.Stack.of(target).node.path}"
            )


def _wait_seconds(longest: int) -> int:
    """How long the warmer waits for an answer: for a start, and for as long as the target may then run."""
    return min(LAMBDA_INIT_SECONDS + longest, LAMBDA_TIMEOUT_SECONDS - MARGIN_SECONDS)


def _rate_of(schedule: scheduler.ScheduleExpression) -> cdk.Duration | None:
    """Give how often a schedule runs, 5 minutes at least; None if it rests at times, or for longer than alarms look."""
    rate = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", schedule.expression_string)
    seconds = int(rate[1]) * _UNIT_SECONDS[rate[2]] if rate else 0
    if not 0 < seconds <= _UNIT_SECONDS["day"]:
        return None
    return cdk.Duration.seconds(max(seconds, METRICS_EVERY.to_seconds()))
