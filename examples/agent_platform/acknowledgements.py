"""What cdk-nag finds in this example and why it is accepted here; paste what fits into your own stack.

Each finding by its exact path and id: a new one must be looked at, and one that is gone must go here too.
"""

import aws_cdk as cdk

from examples.local.nag import ALL_THREE, WITHOUT_PCI, Acknowledgements, acknowledge_all, each, of_signed_api

WITH_INSTANCES = ("Pool/", "Network/", "Research/Aliaslive/")  # which the emulator does not have
APIS = ("SupportApi", "ResearchApi")
CALLED = ("Support", "Research", *(f"{api}/Health" for api in APIS))
TOOLS = ("Warm/Warmer", "Pruner/Function", "Pool/VersionCounter")
FUNCTIONS = (*CALLED, *TOOLS)
SCHEDULES = ("Warm/Schedule", "Pruner/Schedule", "Pool/CountVersions", "Research/Aliaslive/Morning")
LOG_GROUPS = (
    *(f"{name}Logs" for name in (*FUNCTIONS, *(f"{api}/Access" for api in APIS), "Pool/")),
    "Network/FlowLog/LogGroup",
)
ALARMS = (
    *("Warm/Errors", "Warm/Target0", "Pruner/Errors", "Pruner/Failures", "Pruner/CodeStorage"),
    *("Pool/Cpu", "Pool/Memory", "Pool/Vcpu", "Pool/Versions", "Research/Aliaslive/Throttles"),
)
PUBLIC_SUBNETS = tuple(f"Network/PublicSubnet{number}" for number in (1, 2, 3))
POLICIES = tuple(f"{name}Role/DefaultPolicy/Resource" for name in (*FUNCTIONS, *SCHEDULES, "Pool/Operator"))

ACKNOWLEDGEMENTS: Acknowledgements = [
    (
        tuple(f"{name}Role/DefaultPolicy/Resource" for name in FUNCTIONS),
        ("AwsSolutions-IAM5[Resource::*]",),
        "X-Ray and some of Lambda's lists have no resources to name; everything else is named",
    ),
    (
        ("Pruner/FunctionRole/DefaultPolicy/Resource",),
        tuple(f"AwsSolutions-IAM5[Resource::<{name}.Arn>:*]" for name in ("Research45C4ADF7", "Support5CFB64A3")),
        "every version of these two, whose numbers nobody knows beforehand, and not the functions themselves",
    ),
    (
        (*POLICIES, "Network/FlowLog/IAMRole/DefaultPolicy/Resource"),
        each(ALL_THREE, "IAMNoInlinePolicy"),
        "each policy belongs to one role and goes with it",
    ),
    (
        ("Pool/OperatorRole/Resource",),
        ("AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/AWSLambdaManagedEC2ResourceOperator]",),
        "the policy that AWS keeps for Lambda's operator of instances",
    ),
    (
        tuple(f"{name}/Resource" for name in FUNCTIONS),
        ("AwsSolutions-L1", "Serverless-LambdaLatestVersion"),
        "Python 3.13 is what this release was tested with",
    ),
    (
        tuple(f"{name}/Resource" for name in CALLED),
        (*each(WITHOUT_PCI, "LambdaDLQ"), "Serverless-LambdaDLQ"),
        "called and waited for: nothing is retried or lost unseen",
    ),
    (
        tuple(f"{name}/Resource" for name in TOOLS),
        (*each(WITHOUT_PCI, "LambdaDLQ"), "Serverless-LambdaDLQ"),
        "the next run of the schedule does what this one did not; alarms watch the failures",
    ),
    (
        ("Pruner/Function/EventInvokeConfig/Resource",),
        ("Serverless-LambdaAsyncFailureDestination",),
        "the next run of the schedule goes on where this one failed; an alarm watches the failures",
    ),
    (
        tuple(f"{name}/Resource" for name in FUNCTIONS),
        each(WITHOUT_PCI, "LambdaConcurrency"),
        "the stages' rate limits and the schedules bound an example",
    ),
    (
        tuple(f"{name}/Resource" for name in FUNCTIONS),
        each(ALL_THREE, "LambdaInsideVPC"),
        "calls public AWS endpoints only; the one on managed instances is in the pool's network",
    ),
    (
        tuple(f"{name}/Resource" for name in LOG_GROUPS),
        each(ALL_THREE, "CloudWatchLogGroupEncrypted"),
        "encrypted with CloudWatch's own key; no prompt is logged",
    ),
    (
        tuple(f"{name}Alarm/Resource" for name in ALARMS),
        each(WITHOUT_PCI, "CloudWatchAlarmAction"),
        "whom to wake is yours to say: alarms of each construct take add_alarm_action",
    ),
    (
        tuple(f"{name}/DefaultRoute" for name in PUBLIC_SUBNETS),
        each(ALL_THREE, "VPCNoUnrestrictedRouteToIGW"),
        "the NAT gateway is in a public subnet; the instances are in the private ones",
    ),
    (
        tuple(f"{name}/Subnet" for name in PUBLIC_SUBNETS),
        each(ALL_THREE, "VPCSubnetAutoAssignPublicIpDisabled"),
        "nothing of this stack but the NAT gateway is in a public subnet",
    ),
    (
        ("Network/Resource",),
        each(ALL_THREE, "VPCDefaultSecurityGroupClosed"),
        "nothing of this stack uses the default group; closing it takes a custom resource",
    ),
    *(accepted for api in APIS for accepted in of_signed_api(api, ("api/v1/chat/POST",))),
]


def acknowledge(stack: cdk.Stack, *, local: bool) -> None:
    """Attach every acknowledgement to its construct, as far as there are managed instances."""
    left_out = WITH_INSTANCES if local else ()
    acknowledge_all(
        stack,
        [
            (tuple(path for path in paths if not path.startswith(left_out)), ids, reason)
            for paths, ids, reason in ACKNOWLEDGEMENTS
        ],
    )
