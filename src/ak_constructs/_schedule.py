"""What EventBridge Scheduler does for this library: runs its functions, and changes those on a pool."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as targets
from constructs import Construct

LATEST_CHANGE = cdk.Duration.minutes(15)  # a retry must not undo the next schedule


def define_schedule_role(scope: Construct, id: str) -> iam.Role:
    """Define a role that only schedules of this account and region in the default group may take, as ours are.

    By the group's ARN, as CDK's own role has it; AWS's page warns of a schedule's:
    https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html,
    read 2026-11-21
    """
    stack = cdk.Stack.of(scope)
    group = stack.format_arn(service="scheduler", resource="schedule-group", resource_name="default")
    return iam.Role(
        scope,
        id,
        assumed_by=iam.ServicePrincipal(
            "scheduler.amazonaws.com",
            conditions={"StringEquals": {"aws:SourceAccount": stack.account, "aws:SourceArn": group}},
        ),
    )


def define_schedule(
    scope: Construct,
    id: str,
    *,
    function: lambda_.Function,
    schedule: scheduler.ScheduleExpression,
    time_window: scheduler.TimeWindow | None = None,
    description: str,
) -> scheduler.Schedule:
    """Define a schedule that runs a function of ours, with a role of its own beside it that may do nothing else.

    CDK's own role may invoke every version and alias too, and is shared by the whole stack. A run that the function
    refuses is not tried again by the schedule: the next one is near.
    """
    role = define_schedule_role(scope, f"{id}Role")
    role.add_to_policy(iam.PolicyStatement(actions=["lambda:InvokeFunction"], resources=[function.function_arn]))
    defined = scheduler.Schedule(
        scope,
        id,
        schedule=schedule,
        time_window=time_window,
        target=targets.LambdaInvoke(function, role=role.without_policy_updates(), retry_attempts=0),
        description=description,
    )
    defined.node.add_dependency(role)  # its policy too: a run that is due at once must be allowed
    return defined


def define_environments_schedule(
    alias: lambda_.Alias, id: str, *, schedule: scheduler.ScheduleExpression, minimum: int, maximum: int
) -> scheduler.Schedule:
    """Define a schedule that sets how many environments the alias's version has on its pool.

    The function without its version is what AWS's own example allows; the operation's name begins in lower case as all
    of Scheduler's do, though that example does not. Neither was tried.
    https://docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances-scaling.html, read 2026-11-21
    """
    role = define_schedule_role(alias, f"{id}Role")
    defined = scheduler.Schedule(
        alias,
        id,
        schedule=schedule,
        target=targets.Universal(
            service="lambda",
            action="putFunctionScalingConfig",
            input=scheduler.ScheduleTargetInput.from_object(
                {
                    "FunctionName": alias.lambda_.function_name,
                    "Qualifier": alias.version.version,
                    "FunctionScalingConfig": {
                        "MinExecutionEnvironments": minimum,
                        "MaxExecutionEnvironments": maximum,
                    },
                }
            ),
            role=role,
            policy_statements=[  # CDK's own would name every function, and warns of it even if it is not taken
                iam.PolicyStatement(actions=["lambda:PutFunctionScalingConfig"], resources=[alias.lambda_.function_arn])
            ],
            max_event_age=LATEST_CHANGE,
        ),
        description="Sets how many environments a function on managed instances has",
    )
    defined.node.add_dependency(role)  # its policy too: a change that is due at once must be allowed
    return defined
