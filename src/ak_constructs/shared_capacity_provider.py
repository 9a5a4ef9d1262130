"""Run several functions on one pool of managed instances."""

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

import aws_cdk as cdk
import jsii
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_scheduler as scheduler
from constructs import Construct

from ak_constructs import _managed_instances as managed
from ak_constructs._function import ARCHITECTURE, Surroundings, define_function, define_log_group
from ak_constructs._instance_types import check_headroom, check_instance_types, default_instance_types, fits
from ak_constructs._limits import (
    CAPACITY_PROVIDER_TAGS,
    LAMBDA_MANAGED_DEFAULT_ENVIRONMENTS,
    LAMBDA_MANAGED_FEE_PERCENT,
)
from ak_constructs._pool_dashboard import (
    COUNT_EVERY,
    PoolDashboard,
    define_pool_alarms,
    define_throttles_alarm,
    metric_versions,
)
from ak_constructs._pool_network import (
    check_zone_ids,
    choose_subnets,
    define_security_group,
    network_of,
    warn_of_network,
)
from ak_constructs._schedule import define_environments_schedule, define_schedule
from ak_constructs._validation import AtSynthesis, check_at_most, check_matches

DEFAULT_MAX_VCPU_COUNT = 64
DEFAULT_ALIAS = "live"
COUNTER_MEMORY_MIB = 128
COUNTER_TIMEOUT = cdk.Duration.minutes(1)
# m7g.large in us-east-1, on demand: https://www.factualminds.com/blog/amazon-ec2-on-demand-pricing-instance-families-2026/
DOLLARS_PER_HOUR = 0.0816
HOURS_PER_MONTH = 730
IDLE_DOLLARS = (
    LAMBDA_MANAGED_DEFAULT_ENVIRONMENTS * DOLLARS_PER_HOUR * HOURS_PER_MONTH * (1 + LAMBDA_MANAGED_FEE_PERCENT / 100)
)


@jsii.implements(ec2.IConnectable)
class SharedCapacityProvider(Construct):
    """Defines one pool of managed instances for several functions, and refuses what AWS would refuse later.

    **When is this the right choice**: when traffic is steady and high, and a cold start is not acceptable, or a run
    takes more than 900 s (5400 s for asynchronous invokes and event source mappings). Bursts, low traffic and idle
    nights are cheaper on Lambda as it is: a pool scales with minutes of delay, and throttles when traffic more than
    doubles within 5 minutes.

    **It is never idle for free**: Lambda starts 3 instances and, for each published version, 3 environments, and
    keeps them. Of `m7g.large`, 3 instances cost about 206 dollars a month in `us-east-1`, on demand, Lambda's fee of
    15 % included (prices of `2026-06`). Volumes, a NAT gateway or VPC endpoints, four alarms and one for each function,
    a metric and a dashboard come on top. For other types and regions:
    `aws pricing get-products --service-code AmazonEC2 --filters Type=TERM_MATCH,Field=instanceType,Value=m7g.xlarge`.

    **One pool is one trust boundary**: its functions run in containers on shared instances, which do not isolate them
    from each other. Functions that do not trust each other need a pool each.

    ```text
    VPC subnets -> EC2 instances, arm64, 64 vCPUs at most, scaled by Lambda
                     <- function "a", its alias "live" -> a version: 3 environments or more
                     <- function "b", its alias "live" -> a version: 3 environments or more
    ```

    **The network**: whatever a function sends, its logs too, goes through the pool's subnets and security group. In a
    private subnet it needs a NAT gateway or VPC endpoints. In a public one, as the default VPC's are, AWS says that
    instances need a public address; default subnets assign one. To let functions reach more than HTTPS:
    `pool.connections.allow_to(database, ec2.Port.tcp(5432))`. Zones without such instances are left out, by zone id
    where `availability_zone_ids` says them and else by their usual name, for zone names differ from account to account.

    **Functions**: `add_function` binds one, publishes a version and gives the alias to invoke: only published versions
    run. It is not published to `$LATEST.PUBLISHED` as well, which would be a second version with environments of its
    own. An environment has several runs at once; Python has a process for each, and they share `/tmp`. Their
    environments together may not need more vCPUs than `max_vcpu_count`: one function cannot take another's share. A
    deployment waits some minutes until a new version's environments are there. Pings do not warm anything here;
    `add_environments_schedule` is what there is for mornings and nights. A function that is deployed already cannot be
    moved to a pool or from it: give it another construct id.

    **Versions**: a pool takes 100, and that cannot be raised. CDK deletes a function's old version at the end of a
    deployment, so that 50 functions that change together fill a pool. With `removal_policy=cdk.RemovalPolicy.RETAIN` in
    a function's `current_version_options` one can go back to it by its alias; but it keeps its environments, which are
    paid, until it is deleted or deactivated: give such functions a `VersionPruner`.

    **Changes**: CloudFormation can change the scaling, the propagated tags and the log group; anything else replaces
    the pool, and its functions move. Therefore it has no fixed name, and an old pool whose versions were retained
    cannot be deleted before they are.

    **Nothing of this ran on AWS** or on the local emulator, which lacks the API: templates, CloudFormation's rules
    and cfn-lint were all there was. Of the refusals, SnapStart, provisioned and reserved concurrency, tenancy and a
    function's own VPC follow from how managed instances work; AWS's own page of them was not found.

    **Resources**, ids relative to this construct: `CapacityProvider`; `SecurityGroup` (nothing in, HTTPS out);
    `OperatorRole` (AWS's managed policy `AWSLambdaManagedEC2ResourceOperator`) unless one is given; `Logs` (a month,
    retained) for what Lambda does to the pool; `VersionCounter` with a role and a log group, run by `CountVersions`
    once an hour, since no metric of AWS's counts versions; `CpuAlarm` (80 % on average), `MemoryAlarm` (90 %),
    `VcpuAlarm` (less than 1 vCPU free), each for 15 minutes, and `VersionsAlarm` (80 versions); `Dashboard`. For each
    function an alias and its `ThrottlesAlarm` (throttled in three times 5 minutes in a row), beside the function.

    **Permissions**: `lambda:ListFunctionVersionsByCapacityProvider` on the pool for the counter,
    `lambda:InvokeFunction` on the counter for its schedule, `lambda:PutFunctionScalingConfig` on one function for each
    schedule of environments, `logs:CreateLogStream` and `logs:PutLogEvents` on `Logs` for the operator role, and for a
    counter in the VPC what `AgentFunction` says of one. With a `key` nothing is added: of what Lambda needs for volumes
    AWS's pages say nothing that was found.

    **Not included**: the VPC, its way out, whom the alarms tell (`for alarm in pool.alarms:
    alarm.add_alarm_action(...)`), pruning of versions.

    Args:
        scope: The parent.
        id: The id, unique in the parent.
        vpc: Where the instances are. Defaults to the account's default VPC, for which the stack needs an account and a
            region.
        vpc_subnets: Which of its subnets. Defaults to private ones, or else isolated ones, or else public ones.
        availability_zone_ids: The ids of this account's zones by their names, such as `{"us-east-1e": "use1-az6"}`,
            from `aws ec2 describe-availability-zones`. Defaults to the usual names.
        max_subnets: How many subnets at most, 1 to 16, one of each zone first. Defaults to all.
        architecture: The instances' and the functions'. Defaults to arm64.
        instance_types: What Lambda may choose from: C, M or R, generation 5 or later, large or larger. AWS advises
            many. Defaults to `m6g` and `m7g`, or for `x86_64` to `m6i` and `m7i`, large and xlarge.
        max_vcpu_count: The ceiling; four of the largest instance must fit. Defaults to 64.
        scaling_options: How the pool scales. Defaults to Lambda's own choice.
        propagated_tags: Tags for instances, volumes and network interfaces, 40 at most. Defaults to none.
        key: Encrypts the instances' volumes, the logs, and the counter's variables; another one makes another pool.
            Defaults to keys of AWS's. An imported key must let CloudWatch Logs use it: `docs/private.md` has the
            statement.
        operator_role: What Lambda takes to manage instances. Defaults to one of its own.
        counter_in_vpc: Whether the version counter runs in the pool's subnets, with its security group. They must be
            private then, and lead to Lambda's API. Defaults to no: in no network of yours.

    Attributes:
        alarms: All alarms, those of functions last.
        architecture: The instances' and the functions'.
        capacity_provider: The pool itself.
        connections: The security group's, to let functions reach more.
        dashboard: CPU, memory, vCPUs, runs at once, versions, and throttles of the functions in the pool's stack.
        log_group: Where Lambda says what it does to the pool.
        max_vcpu_count: The ceiling.
        operator_role: What Lambda takes to manage instances.
        security_group: The instances' own.
        subnets: The chosen subnets.
        version_counter: The function that counts versions.
        vpc: Where the instances are.

    Raises:
        ValueError: There is no VPC to look up; no subnet is left; an instance type is of another architecture, family
            or size; the ceiling is too low to replace an instance; there are too many tags. Of `add_function`: anything
            that AWS refuses.

    Example:
        ```python
        vpc = ec2.Vpc(stack, "Vpc", max_azs=3)
        pool = SharedCapacityProvider(stack, "Pool", vpc=vpc)
        agent = AgentFunction(stack, "Agent", entry="examples/chat_api/agent", memory_size=4096)
        live = pool.add_function(agent, memory_gib_per_vcpu=4, max_concurrency=4)
        ```

    Sources:
        How pools scale, and what environments need:
        https://docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances-scaling.html
        Trust, and the permission to use a pool:
        https://docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances-security.html
        Ways out: https://docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances-networking.html
        Metrics: https://docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances-monitoring.html
        Quotas: https://docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances-quotas.html
        Logs, and what the operator role needs for them:
        https://docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances-monitoring-cwl.html
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        vpc: ec2.IVpc | None = None,
        vpc_subnets: ec2.SubnetSelection | None = None,
        availability_zone_ids: Mapping[str, str] | None = None,
        max_subnets: int | None = None,
        architecture: lambda_.Architecture = ARCHITECTURE,
        instance_types: Sequence[ec2.InstanceType] | None = None,
        max_vcpu_count: int = DEFAULT_MAX_VCPU_COUNT,
        scaling_options: lambda_.ScalingOptions | None = None,
        propagated_tags: Mapping[str, str] | None = None,
        key: kms.Key | kms.IKey | None = None,
        operator_role: iam.Role | iam.IRole | None = None,
        counter_in_vpc: bool = False,
    ) -> None:
        super().__init__(scope, id)
        self._instance_types = list(instance_types or default_instance_types(architecture))
        check_instance_types(self._instance_types, architecture)
        check_headroom(max_vcpu_count, self._instance_types)
        check_at_most(
            "the number of propagated_tags", len(propagated_tags or ()), CAPACITY_PROVIDER_TAGS, "leave some out"
        )
        zone_ids = availability_zone_ids or {}
        check_zone_ids(zone_ids)
        self.vpc: ec2.IVpc = network_of(self, vpc)
        self.subnets: Sequence[ec2.ISubnet] = choose_subnets(
            self.vpc, selection=vpc_subnets, zone_ids=zone_ids, max_subnets=max_subnets
        )

        self.architecture: lambda_.Architecture = architecture
        self.max_vcpu_count: int = max_vcpu_count
        self.security_group: ec2.SecurityGroup = define_security_group(self, self.vpc)
        self._connections: ec2.Connections = self.security_group.connections
        self.log_group: logs.LogGroup = define_log_group(self, "Logs", key=key)
        self.operator_role: iam.IRole = operator_role or self._define_operator_role()
        may_log = self.log_group.grant_write(self.operator_role)
        self.capacity_provider: lambda_.CapacityProvider = lambda_.CapacityProvider(
            self,
            "CapacityProvider",
            architectures=[architecture],
            instance_type_filter=lambda_.InstanceTypeFilter.allow(self._instance_types),
            kms_key=key,
            log_group=self.log_group,
            max_v_cpu_count=max_vcpu_count,
            operator_role=self.operator_role,
            propagate_tags=lambda_.PropagateTags.explicit(dict(propagated_tags)) if propagated_tags else None,
            scaling_options=scaling_options or lambda_.ScalingOptions.auto(),
            security_groups=[self.security_group],
            subnets=list(self.subnets),
        )
        may_log.apply_before(self.capacity_provider)  # Lambda says nothing when it cannot
        self.version_counter: lambda_.Function = self._define_version_counter(self._around(key, in_vpc=counter_in_vpc))
        self._graphs = PoolDashboard(self, self.capacity_provider.capacity_provider_name)
        self.dashboard: cloudwatch.Dashboard = self._graphs.dashboard
        self.alarms: list[cloudwatch.Alarm] = define_pool_alarms(self, self.capacity_provider.capacity_provider_name)
        self._functions: list[tuple[lambda_.Function, float, int]] = []
        self._shares: dict[str, managed.Share] = {}  # by the path of the alias
        self._vcpus: dict[str, float | None] = {}
        warn_of_network(self, self.vpc, self.subnets)
        self.node.add_validation(AtSynthesis(self._refusals))

    @property
    def connections(self) -> ec2.Connections:
        """Give the security group's connections."""
        return self._connections

    def add_function(
        self,
        function: lambda_.FunctionBase | lambda_.IFunction,
        *,
        memory_gib_per_vcpu: float,
        max_concurrency: int,
        min_execution_environments: int | None = None,
        max_execution_environments: int | None = None,
        alias: str = DEFAULT_ALIAS,
    ) -> lambda_.Alias:
        """Put a function of this app on the pool and give the alias to invoke.

        Args:
            function: The function itself, with `memory_size` 2048 MB or more and no VPC of its own. It may be in
                another stack of the pool's account and region.
            memory_gib_per_vcpu: 2 to 8; AWS advises 4 or 8 for Python. `memory_size` over it is the vCPUs of an
                environment, 1 or more. A guide of AWS's asks for whole ones: a part of one is warned of.
            max_concurrency: How many runs an environment has at once, 1 to 1600 and 64 for each vCPU.
            min_execution_environments: How many environments are kept, 1 or more. Defaults to 3, by Lambda; under 3 a
                zone that fails may take all.
            max_execution_environments: How many there may be; both or neither. Defaults to no bound but the pool's,
                and then the minimum counts against the pool's ceiling.
            alias: The name of the alias. Defaults to "live".

        Raises:
            ValueError: AWS would refuse the function as it is, or all functions together need more vCPUs than there
                are. What is set on the function later is checked again when the app is synthesised, but not against
                the pool's ceiling.
        """
        found = managed.function_of(function, self)
        version = cast(lambda_.CfnVersion, found.current_version.node.default_child)
        for refusal in managed.refusals(found, self.architecture):
            raise ValueError(refusal)
        vcpus = managed.vcpus_for(found, memory_gib_per_vcpu)
        self._check_fits(found, vcpus, memory_gib_per_vcpu)
        managed.check_concurrency(max_concurrency, vcpus)
        managed.check_environments(min_execution_environments, max_execution_environments)
        managed.check_version(version, found)
        share = managed.share_of(found, vcpus, min_execution_environments, max_execution_environments)
        managed.check_budget([*self._shares.values(), *([share] if share else [])], self.max_vcpu_count)
        check_matches("alias", alias, r"(?![0-9]+$)[A-Za-z0-9_-]{1,128}", 'a name such as "live"')
        if found.node.try_find_child(f"Alias{alias}") is not None:
            raise ValueError(f"alias must be one that {found.node.path} has not yet, got {alias!r}; name another")

        self.capacity_provider.add_function(
            found,
            execution_environment_memory_gib_per_v_cpu=memory_gib_per_vcpu,
            per_execution_environment_max_concurrency=max_concurrency,
            publish_to_latest_published=False,
        )
        if min_execution_environments is not None:
            version.function_scaling_config = lambda_.CfnVersion.FunctionScalingConfigProperty(
                min_execution_environments=min_execution_environments,
                max_execution_environments=max_execution_environments,
            )
        managed.warn_of_parts(self, found, vcpus)
        live = found.add_alias(alias)
        self._functions.append((found, memory_gib_per_vcpu, max_concurrency))
        self._vcpus[live.node.path] = vcpus
        if share:
            self._shares[live.node.path] = share
        self._graphs.add(live)
        self.alarms.append(define_throttles_alarm(live))
        return live

    def add_environments_schedule(
        self,
        id: str,
        *,
        alias: lambda_.Alias,
        schedule: scheduler.ScheduleExpression,
        min_execution_environments: int,
        max_execution_environments: int,
    ) -> scheduler.Schedule:
        """Set how many environments a function of this pool has at certain times: many in the morning, few at night.

        It changes the version that the alias had when it was deployed. A new version begins with what `add_function`
        said, until the schedule's next run.

        Args:
            id: The id, unique among the alias's schedules.
            alias: What `add_function` gave.
            schedule: When.
            min_execution_environments: How many are kept from then on, 1 or more: at 0 the function would be
                deactivated, and no call would wake it.
            max_execution_environments: How many there may be from then on; they count against the pool's ceiling.

        Raises:
            ValueError: The alias is not of this pool, or the numbers are out of range or over the pool's ceiling.
        """
        path = alias.node.path
        if path not in self._vcpus:
            raise ValueError(
                f"alias must be one that add_function of this pool gave, got {path}; add the function first"
            )
        managed.check_environments(min_execution_environments, max_execution_environments)
        function = cast(lambda_.Function, alias.lambda_)
        before = self._shares.get(path)
        share = managed.share_of(function, self._vcpus[path], min_execution_environments, max_execution_environments)
        if share and (before is None or share.total > before.total):
            managed.check_budget(
                [*(each for key, each in self._shares.items() if key != path), share], self.max_vcpu_count
            )
            self._shares[path] = share
        return define_environments_schedule(
            alias, id, schedule=schedule, minimum=min_execution_environments, maximum=max_execution_environments
        )

    def grant_pass(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let somebody put functions on this pool by `lambda:PassCapacityProvider`, such as who deploys another app."""
        return iam.Grant.add_to_principal(
            grantee=grantee,
            actions=["lambda:PassCapacityProvider"],
            resource_arns=[self.capacity_provider.capacity_provider_arn],
        )

    def metric_versions(self) -> cloudwatch.Metric:
        """Give the number of function versions on the pool, counted once an hour."""
        return metric_versions(self.capacity_provider.capacity_provider_name)

    def _check_fits(self, function: lambda_.Function, vcpus: float | None, memory_gib_per_vcpu: float) -> None:
        if vcpus is None or fits(self._instance_types, vcpus=vcpus, memory_gib=vcpus * memory_gib_per_vcpu):
            return
        names = ", ".join(each.to_string() for each in self._instance_types)
        raise ValueError(
            f"an environment of {function.node.path} must fit into one of the pool's instances, {names}, got "
            f"{vcpus:g} vCPUs and {vcpus * memory_gib_per_vcpu:g} GiB; lower memory_size or take larger instance_types"
        )

    def _define_operator_role(self) -> iam.Role:
        return iam.Role(
            self,
            "OperatorRole",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            managed_policies=[iam.ManagedPolicy.from_aws_managed_policy_name("AWSLambdaManagedEC2ResourceOperator")],
        )

    def _around(self, key: kms.IKey | None, *, in_vpc: bool) -> Surroundings:
        return Surroundings(
            key=key,
            vpc=self.vpc if in_vpc else None,
            vpc_subnets=ec2.SubnetSelection(subnets=list(self.subnets)) if in_vpc else None,
            security_groups=[self.security_group] if in_vpc else None,
        )

    def _define_version_counter(self, around: Surroundings) -> lambda_.Function:
        function = define_function(
            self,
            "VersionCounter",
            handler="ak_lambda.version_counter.handler.handler",
            memory_size=COUNTER_MEMORY_MIB,
            timeout=COUNTER_TIMEOUT,
            around=around,
        )
        function.add_environment("AK_CONSTRUCTS_CAPACITY_PROVIDER", self.capacity_provider.capacity_provider_name)
        function.add_to_role_policy(
            iam.PolicyStatement(
                actions=["lambda:ListFunctionVersionsByCapacityProvider"],
                resources=[self.capacity_provider.capacity_provider_arn],
            )
        )
        define_schedule(
            self,
            "CountVersions",
            function=function,
            schedule=scheduler.ScheduleExpression.rate(COUNT_EVERY),
            description="Counts the function versions on a pool of managed instances",
        )
        return function

    def _refusals(self) -> list[str]:
        """Give what AWS would refuse of the pool and its functions, as they stand when the app is synthesised."""
        resource = cast(lambda_.CfnCapacityProvider, self.capacity_provider.node.default_child)
        name = cdk.Stack.of(self).resolve(resource.capacity_provider_name)
        refused = [refusal for each in self._functions for refusal in self._refused_of(*each)]
        if name is not None:
            refused.append(
                f"capacity_provider_name must be left out, got {name!r}; almost every change replaces the pool, and "
                "CloudFormation makes the new one before it deletes the old one of that name"
            )
        return refused

    def _refused_of(
        self, function: lambda_.Function, memory_gib_per_vcpu: float, max_concurrency: int
    ) -> Iterator[str]:
        yield from managed.refusals(function, self.architecture)
        try:
            vcpus = managed.vcpus_for(function, memory_gib_per_vcpu)
            self._check_fits(function, vcpus, memory_gib_per_vcpu)
            managed.check_concurrency(max_concurrency, vcpus)
        except ValueError as error:
            yield str(error)
