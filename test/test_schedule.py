"""What every schedule of this library is like."""

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_scheduler as scheduler
from aws_cdk.assertions import Template

from ak_constructs import KeepWarm, VersionPruner
from test.pools import define_function, pool_of


def test_no_schedule_is_due_before_its_role_may_do_what_it_asks(stack: cdk.Stack) -> None:
    """A run that comes due while the stack is being made would be refused, and none follows soon."""
    function = define_function(stack)
    KeepWarm(stack, "Warm", targets=[define_function(stack, "Plain")])
    VersionPruner(stack, "Pruner", functions=[function])
    pool = pool_of(stack)
    live = pool.add_function(function, memory_gib_per_vcpu=4, max_concurrency=4)
    nightly = scheduler.ScheduleExpression.cron(hour="20", minute="0")
    pool.add_environments_schedule(
        "Night", alias=live, schedule=nightly, min_execution_environments=1, max_execution_environments=2
    )
    template = Template.from_stack(stack)
    policies = {
        role["Ref"]: id_
        for id_, policy in template.find_resources("AWS::IAM::Policy").items()
        for role in policy["Properties"]["Roles"]
    }
    schedules = template.find_resources("AWS::Scheduler::Schedule").values()
    assert len(schedules) == 4
    for schedule in schedules:
        role = schedule["Properties"]["Target"]["RoleArn"]["Fn::GetAtt"][0]
        assert policies[role] in schedule["DependsOn"]


def test_only_schedules_of_this_account_can_take_the_role(stack: cdk.Stack) -> None:
    """Somebody else's schedule could name it otherwise."""
    KeepWarm(stack, "Warm", targets=[lambda_.Function.from_function_name(stack, "Plain", "plain")])
    Template.from_stack(stack).has_resource_properties(
        "AWS::IAM::Role",
        {
            "AssumeRolePolicyDocument": {
                "Statement": [
                    {
                        "Action": "sts:AssumeRole",
                        "Condition": {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}},
                        "Effect": "Allow",
                        "Principal": {"Service": "scheduler.amazonaws.com"},
                    }
                ],
                "Version": "2012-10-17",
            }
        },
    )
