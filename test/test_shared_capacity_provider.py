"""SharedCapacityProvider: one pool of managed instances for several functions."""

from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_scheduler as scheduler
from aws_cdk.assertions import Annotations, Match, Template
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from ak_constructs import SharedCapacityProvider, _pool_dashboard, shared_capacity_provider
from ak_constructs.testing import normalised
from test.pools import define_function, pool_of, vpc_of
from test.support import logical_ids, statements

NIGHTLY = scheduler.ScheduleExpression.cron(hour="20", minute="0")


def provider(stack: cdk.Stack) -> dict[str, Any]:
    """Give the properties of the capacity provider."""
    (found,) = Template.from_stack(stack).find_resources("AWS::Lambda::CapacityProvider").values()
    return dict(found["Properties"])


def alarms(stack: cdk.Stack) -> dict[str, dict[str, Any]]:
    """Give the properties of each alarm by the part of its logical id that is ours."""
    found = Template.from_stack(stack).find_resources("AWS::CloudWatch::Alarm")
    return {id_.removeprefix("Pool")[:-8]: dict(each["Properties"]) for id_, each in found.items()}


def test_a_pool_is_what_the_article_chose(stack: cdk.Stack) -> None:
    """arm64, four types, automatic scaling, 64 vCPUs, and no name."""
    pool_of(stack)
    properties = provider(stack)
    assert properties["CapacityProviderScalingConfig"] == {"MaxVCpuCount": 64, "ScalingMode": "Auto"}
    types = ["m6g.large", "m6g.xlarge", "m7g.large", "m7g.xlarge"]
    assert properties["InstanceRequirements"] == {"AllowedInstanceTypes": types, "Architectures": ["arm64"]}
    assert {"CapacityProviderName", "PropagateTags", "KmsKeyArn"}.isdisjoint(properties)


def test_nothing_comes_in_and_https_goes_out(stack: cdk.Stack) -> None:
    """By a security group of the pool's own."""
    pool_of(stack)
    template = Template.from_stack(stack)
    out = {"CidrIp": "0.0.0.0/0", "Description": "HTTPS", "FromPort": 443, "IpProtocol": "tcp", "ToPort": 443}
    template.has_resource_properties(
        "AWS::EC2::SecurityGroup", {"SecurityGroupEgress": [out], "SecurityGroupIngress": Match.absent()}
    )
    (group,) = provider(stack)["VpcConfig"]["SecurityGroupIds"]
    assert group["Fn::GetAtt"][0].startswith("PoolSecurityGroup")


def test_functions_can_be_let_through_to_more(stack: cdk.Stack) -> None:
    """The pool is connectable, as a function in a VPC is."""
    vpc = vpc_of(stack)
    pool = SharedCapacityProvider(stack, "Pool", vpc=vpc)
    database = ec2.SecurityGroup(stack, "Database", vpc=vpc)
    pool.connections.allow_to(database, ec2.Port.tcp(5432))
    database.connections.allow_from(pool, ec2.Port.tcp(5433))
    ingress = Template.from_stack(stack).find_resources("AWS::EC2::SecurityGroupIngress").values()
    assert {each["Properties"]["FromPort"] for each in ingress} == {5432, 5433}


def test_what_lambda_does_to_the_pool_is_logged_for_a_month(stack: cdk.Stack) -> None:
    """Otherwise it makes a log group that keeps everything."""
    pool_of(stack)
    group = provider(stack)["TelemetryConfig"]["LoggingConfig"]["LogGroup"]["Ref"]
    resource = Template.from_stack(stack).to_json()["Resources"][group]
    assert (resource["Properties"], resource["DeletionPolicy"]) == ({"RetentionInDays": 30}, "Retain")


def test_the_operator_may_log_before_there_is_a_pool(stack: cdk.Stack) -> None:
    """Lambda says nothing when it may not."""
    pool_of(stack)
    (found,) = Template.from_stack(stack).find_resources("AWS::Lambda::CapacityProvider").values()
    assert [name[:-8] for name in found["DependsOn"]] == ["PoolOperatorRoleDefaultPolicy"]


def test_x86_64_has_types_of_its_own(stack: cdk.Stack) -> None:
    """Of the same families."""
    pool_of(stack, architecture=lambda_.Architecture.X86_64)
    types = ["m6i.large", "m6i.xlarge", "m7i.large", "m7i.xlarge"]
    requirements = provider(stack)["InstanceRequirements"]
    assert requirements == {"AllowedInstanceTypes": types, "Architectures": ["x86_64"]}


def test_other_arguments_are_handed_on(stack: cdk.Stack) -> None:
    """To the resource of the same name."""
    role = iam.Role(stack, "Operator", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
    policy = lambda_.TargetTrackingScalingPolicy.cpu_utilization(60)
    pool = pool_of(
        stack,
        instance_types=[ec2.InstanceType("r8g.large")],
        max_vcpu_count=200,
        scaling_options=lambda_.ScalingOptions.manual([policy]),
        propagated_tags={"team": "agents"},
        key=kms.Key(stack, "Key"),
        operator_role=role,
    )
    properties = provider(stack)
    assert properties["InstanceRequirements"]["AllowedInstanceTypes"] == ["r8g.large"]
    scaling = properties["CapacityProviderScalingConfig"]
    assert (scaling["MaxVCpuCount"], scaling["ScalingMode"]) == (200, "Manual")
    assert scaling["ScalingPolicies"][0]["TargetValue"] == 60
    assert properties["PropagateTags"] == {"ExplicitTags": [{"Key": "team", "Value": "agents"}], "Mode": "Explicit"}
    assert properties["KmsKeyArn"]["Fn::GetAtt"][0].startswith("Key")
    assert properties["PermissionsConfig"]["CapacityProviderOperatorRoleArn"]["Fn::GetAtt"][0].startswith("Operator")
    assert pool.operator_role is role
    assert not [name for name in logical_ids(stack) if name.startswith("PoolOperatorRole")]


def test_fails_with_more_tags_than_are_propagated(stack: cdk.Stack) -> None:
    """40 are."""
    tags = {f"tag{number}": "x" for number in range(40)}
    pool_of(stack, propagated_tags=tags)
    other = cdk.Stack(stack, "Other")
    message = r"^the number of propagated_tags must be at most 40, got 41; leave some out$"
    with pytest.raises(ValueError, match=message):
        pool_of(other, propagated_tags={**tags, "more": "x"})


def test_a_ceiling_may_be_known_at_deployment_only(stack: cdk.Stack) -> None:
    """A token passes every check, those of functions too."""
    ceiling = cdk.CfnParameter(stack, "Ceiling", type="Number").value_as_number
    pool = pool_of(stack, max_vcpu_count=ceiling)
    function = define_function(stack)
    pool.add_function(
        function,
        memory_gib_per_vcpu=4,
        max_concurrency=4,
        min_execution_environments=1,
        max_execution_environments=1000,
    )
    assert provider(stack)["CapacityProviderScalingConfig"]["MaxVCpuCount"] == {"Ref": "Ceiling"}


def test_a_function_is_bound_published_and_aliased(stack: cdk.Stack) -> None:
    """And published nowhere else, where it would have environments twice."""
    live = pool_of(stack).add_function(define_function(stack), memory_gib_per_vcpu=4, max_concurrency=4)
    template = Template.from_stack(stack)
    config = {
        "CapacityProviderArn": {"Fn::GetAtt": [Match.string_like_regexp("^PoolCapacityProvider"), "Arn"]},
        "ExecutionEnvironmentMemoryGiBPerVCpu": 4,
        "PerExecutionEnvironmentMaxConcurrency": 4,
    }
    template.has_resource_properties(
        "AWS::Lambda::Function",
        {
            "CapacityProviderConfig": {"LambdaManagedInstancesCapacityProviderConfig": config},
            "FunctionScalingConfig": Match.absent(),
            "PublishToLatestPublished": False,
        },
    )
    ((version, properties),) = template.find_resources("AWS::Lambda::Version").items()
    assert "FunctionScalingConfig" not in properties["Properties"]
    template.has_resource_properties(
        "AWS::Lambda::Alias", {"FunctionVersion": {"Fn::GetAtt": [version, "Version"]}, "Name": "live"}
    )
    assert live.alias_name == "live"


def test_a_version_has_its_environments_and_its_retention(stack: cdk.Stack) -> None:
    """What the user said of its versions stays."""
    retained = lambda_.VersionOptions(removal_policy=cdk.RemovalPolicy.RETAIN)
    function = define_function(stack, current_version_options=retained)
    pool_of(stack).add_function(
        function,
        memory_gib_per_vcpu=4,
        max_concurrency=4,
        min_execution_environments=2,
        max_execution_environments=5,
        alias="blue",
    )
    ((_, version),) = Template.from_stack(stack).find_resources("AWS::Lambda::Version").items()
    environments = {"MaxExecutionEnvironments": 5, "MinExecutionEnvironments": 2}
    assert version["Properties"]["FunctionScalingConfig"] == environments
    assert version["DeletionPolicy"] == "Retain"
    Template.from_stack(stack).has_resource_properties("AWS::Lambda::Alias", {"Name": "blue"})


def test_functions_of_other_stacks_share_the_pool(app: cdk.App, stack: cdk.Stack) -> None:
    """Their alarms are with them, and neither stack needs the other twice."""
    pool = pool_of(stack)
    other = cdk.Stack(app, "Other")
    pool.add_function(define_function(other), memory_gib_per_vcpu=4, max_concurrency=4)
    Template.from_stack(other).resource_count_is("AWS::CloudWatch::Alarm", 1)
    assert len(alarms(stack)) == 4
    assert len(pool.alarms) == 5
    assert "Throttles" not in str(Template.from_stack(stack).find_resources("AWS::CloudWatch::Dashboard"))


def test_environments_follow_a_schedule(stack: cdk.Stack) -> None:
    """By Lambda's own operation on the version that the alias has, by name and number."""
    pool = pool_of(stack)
    live = pool.add_function(define_function(stack), memory_gib_per_vcpu=4, max_concurrency=4)
    pool.add_environments_schedule(
        "Night", alias=live, schedule=NIGHTLY, min_execution_environments=1, max_execution_environments=2
    )
    schedules = Template.from_stack(stack).find_resources("AWS::Scheduler::Schedule")
    (night,) = (each["Properties"] for id_, each in schedules.items() if "Night" in id_)
    assert night["ScheduleExpression"] == "cron(0 20 * * ? *)"
    operation = ["arn:", {"Ref": "AWS::Partition"}, ":scheduler:::aws-sdk:lambda:putFunctionScalingConfig"]
    assert night["Target"]["Arn"] == {"Fn::Join": ["", operation]}
    ((version, _),) = Template.from_stack(stack).find_resources("AWS::Lambda::Version").items()
    scaling = '{"MinExecutionEnvironments":1,"MaxExecutionEnvironments":2}'
    assert night["Target"]["Input"]["Fn::Join"][1] == [
        '{"FunctionName":"',
        stack.resolve(live.lambda_.function_name),
        '","Qualifier":"',
        {"Fn::GetAtt": [version, "Version"]},
        f'","FunctionScalingConfig":{scaling}}}',
    ]
    assert night["Target"]["RetryPolicy"]["MaximumEventAgeInSeconds"] == 900
    Annotations.from_stack(stack).has_no_warning("*", Match.string_like_regexp("Default policy with"))


def test_alarms_watch_the_pool_whatever_the_instance_type(stack: cdk.Stack) -> None:
    """By a query, since an alarm cannot search; three times five minutes."""
    pool = pool_of(stack)
    found = alarms(stack)
    assert set(found) == {"CpuAlarm", "MemoryAlarm", "VcpuAlarm", "VersionsAlarm"}
    assert len(pool.alarms) == 4
    for name, what, threshold, comparison in (
        ("CpuAlarm", "AVG(CPUUtilization)", 80, "GreaterThanOrEqualToThreshold"),
        ("MemoryAlarm", "AVG(MemoryUtilization)", 90, "GreaterThanOrEqualToThreshold"),
        ("VcpuAlarm", "MAX(vCPUAvailable)", 1, "LessThanThreshold"),
    ):
        (metric,) = found[name]["Metrics"]
        start, pool_name, end = metric["Expression"]["Fn::Join"][1]
        schema = 'SCHEMA("AWS/Lambda", CapacityProviderName, InstanceType)'
        assert start.split(" FROM ") == [f"SELECT {what}", f"{schema} WHERE CapacityProviderName = '"]
        assert end == "'"
        assert pool_name["Ref"].startswith("PoolCapacityProvider")
        assert (metric["Period"], found[name]["EvaluationPeriods"]) == (300, 3)
        assert (found[name]["Threshold"], found[name]["ComparisonOperator"]) == (threshold, comparison)
        assert found[name]["TreatMissingData"] == "notBreaching"


def test_an_alarm_watches_the_number_of_versions(stack: cdk.Stack) -> None:
    """Well before the hundredth."""
    pool = pool_of(stack)
    alarm = alarms(stack)["VersionsAlarm"]
    assert (alarm["Namespace"], alarm["MetricName"]) == ("AkConstructs", "FunctionVersions")
    assert [each["Name"] for each in alarm["Dimensions"]] == ["CapacityProviderName"]
    assert (alarm["Threshold"], alarm["Period"], alarm["Statistic"]) == (80, 3600, "Maximum")
    assert pool.metric_versions().metric_name == "FunctionVersions"


def test_an_alarm_watches_the_throttles_of_each_function(stack: cdk.Stack) -> None:
    """By its alias."""
    pool = pool_of(stack)
    live = pool.add_function(define_function(stack), memory_gib_per_vcpu=4, max_concurrency=4)
    (name,) = set(alarms(stack)) - {"CpuAlarm", "MemoryAlarm", "VcpuAlarm", "VersionsAlarm"}
    assert name.endswith("ThrottlesAlarm")
    alarm = alarms(stack)[name]
    (metric,) = alarm["Metrics"]
    assert metric["MetricStat"]["Metric"]["MetricName"] == "Throttles"
    dimensions = {each["Name"]: each["Value"] for each in metric["MetricStat"]["Metric"]["Dimensions"]}
    function = stack.resolve(live.lambda_.function_name)
    assert dimensions == {"FunctionName": function, "Resource": {"Fn::Join": ["", [function, ":live"]]}}
    assert (metric["MetricStat"]["Stat"], alarm["Threshold"], alarm["EvaluationPeriods"]) == ("Sum", 1, 3)
    assert isinstance(pool.alarms[-1], cloudwatch.Alarm)


def test_the_dashboard_shows_the_pool_and_its_functions(stack: cdk.Stack) -> None:
    """One graph of throttles for all of them."""
    pool = pool_of(stack)
    for name in ("A", "B"):
        pool.add_function(define_function(stack, name), memory_gib_per_vcpu=4, max_concurrency=4)
    (dashboard,) = Template.from_stack(stack).find_resources("AWS::CloudWatch::Dashboard").values()
    parts = dashboard["Properties"]["DashboardBody"]["Fn::Join"][1]
    body = "".join(part if isinstance(part, str) else "<ref>" for part in parts)
    for metric in ("CPUUtilization", "MemoryUtilization", "vCPUAvailable", "vCPUAllocated"):
        search = "SEARCH('{AWS/Lambda,CapacityProviderName,InstanceType} "
        assert f'{search}MetricName=\\"{metric}\\" CapacityProviderName=\\"<ref>\\"' in body
    search = "SEARCH('{AWS/Lambda,CapacityProviderName,FunctionName,Resource} "
    assert f'{search}MetricName=\\"ExecutionEnvironmentConcurrency\\"' in body
    assert '"value":100,"label":"quota"' in body
    assert body.count('"title":"Throttles by function"') == 1
    assert body.count('["AWS/Lambda","Throttles",') == 2


def test_versions_are_counted_once_an_hour(stack: cdk.Stack) -> None:
    """By a function that is told the pool's name."""
    pool_of(stack)
    template = Template.from_stack(stack)
    name = {"Ref": Match.string_like_regexp("^PoolCapacityProvider")}
    template.has_resource_properties(
        "AWS::Lambda::Function",
        {
            "Handler": "ak_lambda.version_counter.handler.handler",
            "Environment": {"Variables": {"AK_CONSTRUCTS_CAPACITY_PROVIDER": name}},
        },
    )
    template.has_resource_properties("AWS::Scheduler::Schedule", {"ScheduleExpression": "rate(1 hour)"})


def test_each_role_may_do_what_it_must(stack: cdk.Stack) -> None:
    """And nothing else, each on one thing; of the operator role AWS's policy says the rest."""
    pool = pool_of(stack)
    live = pool.add_function(define_function(stack), memory_gib_per_vcpu=4, max_concurrency=4)
    pool.add_environments_schedule(
        "Night", alias=live, schedule=NIGHTLY, min_execution_environments=1, max_execution_environments=2
    )
    arn = stack.resolve(pool.capacity_provider.capacity_provider_arn)
    log_group = stack.resolve(pool.log_group.log_group_arn)
    assert statements(stack, "PoolOperatorRole") == [(("logs:CreateLogStream", "logs:PutLogEvents"), log_group)]
    counter = statements(stack, "PoolVersionCounterRole")
    assert counter[-1] == (("lambda:ListFunctionVersionsByCapacityProvider",), arn)
    assert [actions[0] for actions, _ in counter[:-1]] == ["logs:CreateLogStream", "xray:PutTraceSegments"]
    function = stack.resolve(pool.version_counter.function_arn)
    assert statements(stack, "PoolCountVersionsRole") == [(("lambda:InvokeFunction",), function)]
    scaled = stack.resolve(live.lambda_.function_arn)
    roles = [name for name, type_ in logical_ids(stack).items() if "NightRole" in name and type_ == "AWS::IAM::Role"]
    assert statements(stack, roles[0]) == [(("lambda:PutFunctionScalingConfig",), scaled)]


def test_the_operator_role_has_the_policy_that_aws_made_for_it(stack: cdk.Stack) -> None:
    """Only Lambda may take it."""
    pool_of(stack)
    policy = ["arn:", {"Ref": "AWS::Partition"}, ":iam::aws:policy/AWSLambdaManagedEC2ResourceOperator"]
    Template.from_stack(stack).has_resource_properties(
        "AWS::IAM::Role",
        {
            "AssumeRolePolicyDocument": {
                "Statement": [
                    {"Action": "sts:AssumeRole", "Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}}
                ]
            },
            "ManagedPolicyArns": [{"Fn::Join": ["", policy]}],
        },
    )


def test_others_can_be_let_put_functions_on_the_pool(stack: cdk.Stack) -> None:
    """Whoever deploys functions elsewhere."""
    pool = pool_of(stack)
    user = iam.Role(stack, "Deployer", assumed_by=iam.AccountRootPrincipal())
    pool.grant_pass(user)
    arn = stack.resolve(pool.capacity_provider.capacity_provider_arn)
    assert statements(stack, "Deployer") == [(("lambda:PassCapacityProvider",), arn)]


def test_the_actions_in_the_docstring_are_those_of_the_template(stack: cdk.Stack) -> None:
    """A reviewer reads the one and AWS the other."""
    text = SharedCapacityProvider.__doc__ or ""
    documented = text[text.index("**Permissions**") : text.index("**Not included**")]
    pool = pool_of(stack)
    live = pool.add_function(define_function(stack), memory_gib_per_vcpu=4, max_concurrency=4)
    pool.add_environments_schedule(
        "Night", alias=live, schedule=NIGHTLY, min_execution_environments=1, max_execution_environments=2
    )
    names = [name for name in logical_ids(stack) if "Role" in name and "Policy" not in name]
    granted = {action for name in names for actions, _ in statements(stack, name) for action in actions}
    assert {f"`{action}`" for action in granted if not action.startswith("xray:")} == {
        word.strip(",.") for word in documented.split() if word.startswith(("`lambda:", "`logs:"))
    }


def test_the_prices_in_the_docstring_follow_from_their_parts() -> None:
    """Three instances, a month, and Lambda's fee."""
    assert f"{shared_capacity_provider.IDLE_DOLLARS:.0f} dollars a month" in (SharedCapacityProvider.__doc__ or "")
    assert _pool_dashboard.IN_A_ROW * _pool_dashboard.METRIC_MINUTES == 15


def test_logical_ids_are_stable(stack: cdk.Stack) -> None:
    """Changing one replaces a user's pool."""
    pool = pool_of(stack)
    live = pool.add_function(define_function(stack), memory_gib_per_vcpu=4, max_concurrency=4)
    pool.add_environments_schedule(
        "Night", alias=live, schedule=NIGHTLY, min_execution_environments=1, max_execution_environments=2
    )
    ids = {name: type_ for name, type_ in logical_ids(stack).items() if name.startswith("Pool") or "live" in name}
    assert {name[:-8]: type_.split("::", 1)[1] for name, type_ in ids.items()} == {
        "FunctionAliaslive": "Lambda::Alias",
        "FunctionAliasliveNight": "Scheduler::Schedule",
        "FunctionAliasliveNightRole": "IAM::Role",
        "FunctionAliasliveNightRoleDefaultPolicy": "IAM::Policy",
        "FunctionAliasliveThrottlesAlarm": "CloudWatch::Alarm",
        "PoolCapacityProvider": "Lambda::CapacityProvider",
        "PoolCountVersions": "Scheduler::Schedule",
        "PoolCountVersionsRole": "IAM::Role",
        "PoolCountVersionsRoleDefaultPolicy": "IAM::Policy",
        "PoolCpuAlarm": "CloudWatch::Alarm",
        "PoolDashboard": "CloudWatch::Dashboard",
        "PoolLogs": "Logs::LogGroup",
        "PoolMemoryAlarm": "CloudWatch::Alarm",
        "PoolOperatorRole": "IAM::Role",
        "PoolOperatorRoleDefaultPolicy": "IAM::Policy",
        "PoolSecurityGroup": "EC2::SecurityGroup",
        "PoolVcpuAlarm": "CloudWatch::Alarm",
        "PoolVersionCounter": "Lambda::Function",
        "PoolVersionCounterLogs": "Logs::LogGroup",
        "PoolVersionCounterRole": "IAM::Role",
        "PoolVersionCounterRoleDefaultPolicy": "IAM::Policy",
        "PoolVersionsAlarm": "CloudWatch::Alarm",
    }


def test_snapshot_of_the_defaults(stack: cdk.Stack, snapshot: SnapshotAssertion) -> None:
    """Ids and surprises."""
    pool_of(stack).add_function(define_function(stack), memory_gib_per_vcpu=4, max_concurrency=4)
    assert normalised(stack) == snapshot(extension_class=JSONSnapshotExtension)


def test_snapshot_of_everything_set(stack: cdk.Stack, snapshot: SnapshotAssertion) -> None:
    """Ids and surprises."""
    pool = SharedCapacityProvider(
        stack,
        "Pool",
        vpc=vpc_of(stack),
        vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PUBLIC),
        availability_zone_ids={"us-east-1a": "use1-az3"},
        max_subnets=3,
        architecture=lambda_.Architecture.X86_64,
        instance_types=[ec2.InstanceType("c7i.2xlarge")],
        max_vcpu_count=100,
        scaling_options=lambda_.ScalingOptions.manual([lambda_.TargetTrackingScalingPolicy.cpu_utilization(60)]),
        propagated_tags={"team": "agents"},
        key=kms.Key(stack, "Key"),
        operator_role=iam.Role(stack, "Operator", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com")),
    )
    live = pool.add_function(
        define_function(stack, architecture=lambda_.Architecture.X86_64),
        memory_gib_per_vcpu=2,
        max_concurrency=4,
        min_execution_environments=3,
        max_execution_environments=10,
        alias="blue",
    )
    pool.add_environments_schedule(
        "Night", alias=live, schedule=NIGHTLY, min_execution_environments=1, max_execution_environments=2
    )
    pool.grant_pass(iam.Role(stack, "Deployer", assumed_by=iam.AccountRootPrincipal()))
    assert normalised(stack) == snapshot(extension_class=JSONSnapshotExtension)
