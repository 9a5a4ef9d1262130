"""Delete function versions that nobody uses any more."""

from collections.abc import Mapping, Sequence

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from ak_constructs._alarms import define_alarm, own_metric
from ak_constructs._encryption import OBJECT_ACTIONS, let_use
from ak_constructs._function import Surroundings, define_function
from ak_constructs._limits import LAMBDA_TIMEOUT_SECONDS
from ak_constructs._schedule import define_schedule
from ak_constructs._validation import check_at_least, check_at_most, check_duration_at_least, check_matches, check_whole

DEFAULT_KEEP_LATEST = 3
MIN_KEEP_LATEST = 2
DEFAULT_MIN_AGE = cdk.Duration.days(1)
MIN_AGE_SECONDS = 3600
DEFAULT_SCHEDULE = scheduler.ScheduleExpression.rate(cdk.Duration.days(1))
DEFAULT_REPORT_PREFIX = "version-pruner/"
MAX_DELETIONS = 500
MAX_FUNCTIONS = 50  # their names, at most 64 letters each, must fit into the 4 KB of a function's environment
STATEMENT_FUNCTIONS = 10  # CDK spreads a long policy over several, but not a single statement
MEMORY_MIB = 512
CODE_STORAGE_ALARM_PERCENT = 80
NO_CURSOR = "-"  # a parameter cannot be empty
_SETTLES = "an alias is not moved everywhere at once, and requests still reach the version before"
_QUALIFIED_PARTS = 8  # arn:aws:lambda:us-east-1:111122223333:function:name has 7, with a version or alias 8
_READS = [
    "lambda:ListVersionsByFunction",
    "lambda:ListAliases",
    "lambda:ListProvisionedConcurrencyConfigs",
    "lambda:ListDurableExecutionsByFunction",
]


class VersionPruner(Construct):
    """Defines a scheduled function that deletes published versions of functions, all but those in use or recent.

    **When to use**: versions pile up, against the 100 versions of a capacity provider, where each active one also keeps
    instances running, or against the account's code storage. They do when something publishes and nothing deletes: the
    Serverless Framework, SAM, a pipeline with `publish`, or CDK with
    `current_version_options=lambda_.VersionOptions(removal_policy=cdk.RemovalPolicy.RETAIN)`, without which no alias
    can be rolled back, and with which this belongs. **There is nothing to prune** where only CDK's own
    `current_version` publishes, as it is by default: CloudFormation then deletes the old version at each deployment.

    ```text
    schedule -> function: which functions? -> their versions, aliases, mappings, runs -> keep or delete -> report
    ```

    **What is kept**: `$LATEST` and all that is not a number; the newest `keep_latest` of a function; all younger than
    `min_age`; every version that an alias names, with weights too, that an event source mapping calls, that has
    provisioned concurrency, durable executions that are not over, or replicas of Lambda@Edge; after
    `keep_active_versions()`, every active version of managed instances. Aliases are read again right before a version
    is deleted, and AWS itself refuses to delete one that an alias names. What cannot be read is kept. A run deletes 500
    at most; the next one goes on where it ended.

    **What is not seen**: who calls a version by its number, other than an event source mapping: an API's integration, a
    rule, a topic, a state machine, another function. Give them an alias. Nor which version an alias named before it
    moved: that one goes, unless it is among the newest, and with it the way back. Where more versions are published
    than an alias gets to see, raise `keep_latest`.

    **Dry run**: by default nothing is deleted, only said. To read what would be: `aws lambda invoke --function-name
    <function> --cli-read-timeout 900 out.json`, or `aws logs tail <log group>` after a scheduled run. `would_delete`
    has the versions of each function, `kept` each other one with its reasons, `failures` what could not be read. When
    that is right, set `dry_run=False` and deploy; the report then has `deleted`. The payload `{"dry_run": true}` makes
    any run a dry one; none makes a dry one delete.

    **Resources**, ids relative to this construct: `Function` (512 MiB, up to 15 minutes, not retried) with
    `FunctionRole` and `FunctionLogs`; `Schedule` with `ScheduleRole`; `Cursor`, the SSM parameter that remembers where
    the next run begins (CloudFormation writes its first value, and leaves it alone unless the template's changes);
    alarms `ErrorsAlarm` (a run died), `FailuresAlarm` (something could not be read or deleted) and `CodeStorageAlarm`
    (80 % of the account's code storage is used). Idle, it costs what CloudWatch charges for three alarms and seven
    metrics. Two runs at once are harmless, so that no concurrency is reserved, which a small account could not: each
    deletes only what is to go by itself, and what is gone is done.

    **Permissions**: on the functions in scope and their versions `lambda:ListVersionsByFunction`,
    `lambda:ListAliases`, `lambda:ListProvisionedConcurrencyConfigs` and `lambda:ListDurableExecutionsByFunction`;
    with `dry_run=False` alone `lambda:DeleteFunction`, on their versions only, `<function's ARN>:*`, so that the
    function itself cannot be deleted.
    AWS announced in 2022 that it authorizes a call with a qualifier by the qualified ARN; for this action that was not
    tried here. Were it otherwise, each deletion would be refused and counted as a failure.

    - `functions`: exactly those.
    - `tags`: every function of the account and region, on the condition that it has the tags; and
      `tag:GetResources` on `*`. Who may tag a function may have its old versions deleted.
    - `capacity_provider`: every function of the account and region, since IAM has no condition for a function's
      provider, and `lambda:ListFunctionVersionsByCapacityProvider` on the provider. Only versions on it are deleted;
      that much is up to the function's code. Take one of the others where that is not enough.

    In each case `lambda:ListEventSourceMappings` and `lambda:GetAccountSettings`, which AWS grants on `*` only,
    `ssm:GetParameter` and `ssm:PutParameter` on the cursor, and `s3:PutObject` under the prefix of a report bucket,
    with `kms:GenerateDataKey` on its key, if it has one, through S3 only. With a `key` nothing more, and in a VPC what
    `AgentFunction` says of one.

    **Not included**: other regions and accounts (define one in each), layers, functions themselves, versions that are
    deactivated instead of deleted, whom the alarms tell (`for alarm in pruner.alarms: alarm.add_alarm_action(...)`).

    Args:
        scope: The parent.
        id: The id, unique in the parent.
        capacity_provider: Prune every function with a version on it, such as `pool.capacity_provider` of a
            `SharedCapacityProvider`. Give one of this and the next two.
        functions: Prune these, at most 50: functions of this app or imported ones, not versions or aliases.
        tags: Prune every function that has all of these tags.
        keep_latest: How many of the newest versions stay, 2 or more. Defaults to 3.
        min_age: How old a version must be, 1 hour or more. Defaults to 1 day.
        schedule: When it runs. Defaults to once a day.
        dry_run: Whether nothing is deleted. Defaults to True.
        key: Encrypts the function's variables and logs, not the cursor, which is the name of a function: CloudFormation
            makes no parameter that is encrypted. Defaults to keys of AWS's. An imported key must let CloudWatch Logs
            use it: `docs/private.md` has the statement.
        vpc: The network of the function; `docs/private.md` has the endpoints that it needs. Defaults to none.
        vpc_subnets: Which subnets of `vpc`. Defaults to the private ones.
        security_groups: Needs `vpc`. Defaults to a group of its own that may call everybody.

    Attributes:
        alarms: The three alarms.
        cursor: The parameter that remembers where the next run begins.
        function: The function that prunes.
        schedule: What runs it.

    Raises:
        ValueError: Not exactly one of the three is given, or an empty one; a function is given twice, or a version or
            alias of one, or one of another account or region; a number or duration is out of range.

    Example:
        ```python
        from aws_cdk import aws_lambda as lambda_

        agent = AgentFunction(
            stack,
            "Agent",
            entry="examples/chat_api/agent",
            current_version_options=lambda_.VersionOptions(removal_policy=cdk.RemovalPolicy.RETAIN),
        )
        agent.add_alias("live")
        VersionPruner(stack, "Pruner", functions=[agent], keep_latest=5)
        ```

    Sources:
        Actions, resources and conditions:
        https://docs.aws.amazon.com/service-authorization/latest/reference/list_awslambda.html and
        https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonresourcegrouptaggingapi.html
        The qualified ARN, AWS's notice as quoted in:
        https://github.com/juanjoDiaz/serverless-plugin-warmup/issues/304
        Parameters that CloudFormation makes:
        https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ssm-parameter.html
        Tags as a condition, on functions, versions and aliases:
        https://aws.amazon.com/about-aws/whats-new/2022/11/aws-lambda-support-abac-aws-govcloud-us-regions/
        What AWS refuses to delete: https://docs.aws.amazon.com/lambda/latest/api/API_DeleteFunction.html
        Versions of a capacity provider:
        https://docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances-quotas.html
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        capacity_provider: lambda_.ICapacityProvider | None = None,
        functions: Sequence[lambda_.FunctionBase | lambda_.IFunction] | None = None,
        tags: Mapping[str, str] | None = None,
        keep_latest: int = DEFAULT_KEEP_LATEST,
        min_age: cdk.Duration = DEFAULT_MIN_AGE,
        schedule: scheduler.ScheduleExpression = DEFAULT_SCHEDULE,
        dry_run: bool = True,
        key: kms.Key | kms.IKey | None = None,
        vpc: ec2.IVpc | None = None,
        vpc_subnets: ec2.SubnetSelection | None = None,
        security_groups: Sequence[ec2.ISecurityGroup] | None = None,
    ) -> None:
        super().__init__(scope, id)
        _check_one_scope(capacity_provider=capacity_provider, functions=functions, tags=tags)
        self._check_functions(functions)
        if capacity_provider is not None:
            self._check_here("capacity_provider", capacity_provider.capacity_provider_arn, capacity_provider)
        _check_tags(tags)
        check_whole("keep_latest", keep_latest)
        check_at_least("keep_latest", keep_latest, MIN_KEEP_LATEST, _SETTLES)
        check_duration_at_least("min_age", min_age, MIN_AGE_SECONDS, _SETTLES)

        self.cursor: ssm.StringParameter = ssm.StringParameter(
            self, "Cursor", string_value=NO_CURSOR, description="The function at which the next run begins"
        )
        self._deletes = not dry_run
        around = Surroundings(key=key, vpc=vpc, vpc_subnets=vpc_subnets, security_groups=security_groups)
        self.function: lambda_.Function = self._define_function(keep_latest, min_age, around=around)
        if functions is not None:
            self._prune_functions(functions)
        if tags is not None:
            self._prune_tagged(tags)
        if capacity_provider is not None:
            self._prune_capacity_provider(capacity_provider)
        self.schedule: scheduler.Schedule = define_schedule(
            self,
            "Schedule",
            function=self.function,
            schedule=schedule,
            description="Prunes function versions",
        )
        self.alarms: Sequence[cloudwatch.Alarm] = self._define_alarms()
        self._reports = False

    def keep_active_versions(self) -> None:
        """Keep every version of managed instances that is active, however old: one that runs may be in use.

        Such a version costs instances and counts against the provider's versions; without this it goes like any other.
        """
        self.function.add_environment("AK_CONSTRUCTS_KEEP_ACTIVE", "true")

    def add_report_bucket(self, bucket: s3.IBucket, *, prefix: str = DEFAULT_REPORT_PREFIX) -> None:
        """Have each run's report written to a bucket too, as JSON: a long one is only summed up in the log.

        Args:
            bucket: Where to. Its lifecycle is yours to define.
            prefix: What the keys begin with: letters, digits, `.`, `_` and `-` between slashes, with one at the end.
                The time and the id of the run follow. Defaults to `version-pruner/`.
        """
        if self._reports:
            raise ValueError(
                f"add_report_bucket must be called once, got a second bucket {bucket.node.path}; "
                "replicate the reports from the first"
            )
        check_matches("prefix", prefix, r"([A-Za-z0-9._-]+/)+", "names that end in a slash, such as 'version-pruner/'")
        self._reports = True
        self.function.add_environment("AK_CONSTRUCTS_REPORT_BUCKET", bucket.bucket_name)
        self.function.add_environment("AK_CONSTRUCTS_REPORT_PREFIX", prefix)
        self._allow(["s3:PutObject"], [bucket.arn_for_objects(f"{prefix}*")])
        let_use(bucket.encryption_key, self.function, OBJECT_ACTIONS["s3:PutObject"], service="s3")

    def metric_deleted(self) -> cloudwatch.Metric:
        """Give the number of versions deleted, in 5 minutes."""
        return self._metric("Deleted")

    def metric_would_delete(self) -> cloudwatch.Metric:
        """Give the number of versions that dry runs would have deleted, in 5 minutes."""
        return self._metric("WouldDelete")

    def metric_kept(self) -> cloudwatch.Metric:
        """Give the number of versions looked at and kept, in 5 minutes."""
        return self._metric("Kept")

    def metric_bytes_freed(self) -> cloudwatch.Metric:
        """Give the bytes of code storage freed, in 5 minutes."""
        return self._metric("BytesFreed")

    def metric_failures(self) -> cloudwatch.Metric:
        """Give the number of things that could not be read or deleted, in 5 minutes."""
        return self._metric("Failures")

    def metric_unfinished(self) -> cloudwatch.Metric:
        """Give the number of functions left for the next run, in 5 minutes."""
        return self._metric("Unfinished")

    def metric_code_storage_used(self) -> cloudwatch.Metric:
        """Give how much of the account's code storage in this region is used, in percent, the most in a day."""
        return self._metric("CodeStorageUsed", statistic="Maximum", period=cdk.Duration.days(1))

    def _metric(self, name: str, *, statistic: str = "Sum", period: cdk.Duration | None = None) -> cloudwatch.Metric:
        return own_metric(
            name, dimensions={"FunctionName": self.function.function_name}, statistic=statistic, period=period
        )

    def _check_functions(self, functions: Sequence[lambda_.IFunction] | None) -> None:
        check_at_most("functions", len(functions or ()), MAX_FUNCTIONS, "give tags, or define a second VersionPruner")
        seen: set[str] = set()
        for index, function in enumerate(functions or ()):
            name, arn = f"functions[{index}]", function.function_arn
            if _is_qualified(function):
                raise ValueError(
                    f"{name} must be a function, got a version or alias, {function.node.path}; "
                    "give the function that it is of, whose versions are pruned"
                )
            named = arn.rpartition(":function:")[2]  # IAM would take a wildcard in it for all that it matches
            check_matches(f"the name of {name}", named, r"[A-Za-z0-9_-]+", "a function's, such as 'my-agent'")
            self._check_here(name, arn, function)
            if arn in seen:
                raise ValueError(f"{name} must be given once, got {function.node.path} again; leave it out")
            seen.add(arn)

    def _check_here(self, name: str, arn: str, resource: cdk.IResource) -> None:
        """Raise for what is elsewhere: the function asks its own region of Lambda about its own account."""
        here = cdk.Stack.of(self)
        region, account = resource.env.region, resource.env.account
        if not cdk.Token.is_unresolved(arn):  # CDK takes a provider for one of this stack, whatever its ARN says
            region, account = arn.split(":")[3:5]
        for what, theirs, ours in (("account", account, here.account), ("region", region, here.region)):
            if not cdk.Token.is_unresolved(theirs) and not cdk.Token.is_unresolved(ours) and theirs != ours:
                raise ValueError(
                    f"{name} must be in the pruner's {what} {ours}, got one in {theirs}; define a VersionPruner there"
                )

    def _define_function(self, keep_latest: int, min_age: cdk.Duration, *, around: Surroundings) -> lambda_.Function:
        function = define_function(
            self,
            "Function",
            handler="ak_lambda.version_pruner.handler.handler",
            memory_size=MEMORY_MIB,
            timeout=cdk.Duration.seconds(LAMBDA_TIMEOUT_SECONDS),
            around=around,
        )
        # A schedule's invocation is asynchronous: Lambda itself would try it twice more.
        function.configure_async_invoke(retry_attempts=0)
        for name, value in {
            "AK_CONSTRUCTS_CURSOR_PARAMETER": self.cursor.parameter_name,
            "AK_CONSTRUCTS_DRY_RUN": str(not self._deletes).lower(),
            "AK_CONSTRUCTS_KEEP_ACTIVE": "false",
            "AK_CONSTRUCTS_KEEP_LATEST": cdk.Tokenization.stringify_number(keep_latest),
            "AK_CONSTRUCTS_MAX_DELETIONS": str(MAX_DELETIONS),
            "AK_CONSTRUCTS_MIN_AGE_SECONDS": cdk.Tokenization.stringify_number(min_age.to_seconds()),
        }.items():
            function.add_environment(name, value)
        for actions, resource in (
            # These two take no resource.
            (["lambda:ListEventSourceMappings", "lambda:GetAccountSettings"], "*"),
            (["ssm:GetParameter", "ssm:PutParameter"], self.cursor.parameter_arn),
        ):
            function.add_to_role_policy(iam.PolicyStatement(actions=actions, resources=[resource]))
        return function

    def _prune_functions(self, functions: Sequence[lambda_.IFunction]) -> None:
        self._set_scope({"functions": [function.function_name for function in functions]})
        arns = [function.function_arn for function in functions]
        for start in range(0, len(arns), STATEMENT_FUNCTIONS):
            some = arns[start : start + STATEMENT_FUNCTIONS]
            versions = [f"{arn}:*" for arn in some]
            self._allow(_READS, [*some, *versions])
            self._allow_deletions(versions)

    def _prune_tagged(self, tags: Mapping[str, str]) -> None:
        self._set_scope({"tags": dict(tags)})
        tagged = {f"aws:ResourceTag/{key}": value for key, value in tags.items()}
        self._allow(_READS, [self._every_function("*")], {"StringEquals": tagged})
        self._allow_deletions([self._every_function("*:*")], {"StringEquals": tagged})
        self._allow(["tag:GetResources"], ["*"])  # takes no resource

    def _prune_capacity_provider(self, provider: lambda_.ICapacityProvider) -> None:
        arn = provider.capacity_provider_arn
        self._set_scope({"capacity_provider": arn})
        self._allow(_READS, [self._every_function("*")])
        self._allow_deletions([self._every_function("*:*")])
        self._allow(["lambda:ListFunctionVersionsByCapacityProvider"], [arn])

    def _every_function(self, pattern: str) -> str:
        return cdk.Stack.of(self).format_arn(
            service="lambda",
            resource="function",
            resource_name=pattern,
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )

    def _set_scope(self, scope: Mapping[str, object]) -> None:
        self.function.add_environment("AK_CONSTRUCTS_PRUNE_SCOPE", cdk.Stack.of(self).to_json_string(scope))

    def _allow(
        self, actions: Sequence[str], resources: Sequence[str], conditions: Mapping[str, object] | None = None
    ) -> None:
        self.function.add_to_role_policy(
            iam.PolicyStatement(actions=actions, resources=resources, conditions=conditions)
        )

    def _allow_deletions(self, versions: Sequence[str], conditions: Mapping[str, object] | None = None) -> None:
        """Let the function delete, unless all that it does is to say what it would delete."""
        if self._deletes:
            self._allow(["lambda:DeleteFunction"], versions, conditions)

    def _define_alarms(self) -> list[cloudwatch.Alarm]:
        return [
            define_alarm(
                self, "ErrorsAlarm", metric=self.function.metric_errors(), threshold=1, description="A run died"
            ),
            define_alarm(
                self,
                "FailuresAlarm",
                metric=self.metric_failures(),
                threshold=1,
                description="Something could not be read or deleted: see the report",
            ),
            define_alarm(
                self,
                "CodeStorageAlarm",
                metric=self.metric_code_storage_used(),
                threshold=CODE_STORAGE_ALARM_PERCENT,
                description="The account's code storage in this region fills up",
            ),
        ]


def _check_one_scope(**scopes: object) -> None:
    given = [name for name, value in scopes.items() if value is not None]
    if len(given) != 1:
        raise ValueError(
            "exactly one of capacity_provider, functions and tags must be given, "
            f"got {' and '.join(given) or 'none'}; define a VersionPruner for each"
        )
    (name,) = given
    if name != "capacity_provider" and not scopes[name]:
        raise ValueError(f"{name} must not be empty, got {scopes[name]!r}; leave the VersionPruner out")


def _check_tags(tags: Mapping[str, str] | None) -> None:
    """Raise for a tag without a name or a value, which would stand for more functions than meant."""
    for key, value in (tags or {}).items():
        if not key or not value:
            raise ValueError(f"tags must have names and values, got {key!r}: {value!r}; give both")


def _is_qualified(function: lambda_.IFunction) -> bool:
    """Tell versions and aliases, imported ones and `latest_version` too, which are no class of their own in Python."""
    if any(hasattr(function, name) for name in ("version", "alias_name")):
        return True
    arn = function.function_arn
    return not cdk.Token.is_unresolved(arn) and len(arn.split(":")) >= _QUALIFIED_PARTS
