"""What cdk-nag and Checkov find in this example and why it is accepted here.

Each finding by its exact path and id: a new one must be looked at, and one that is gone must go here too.
docs/findings.md has the same for each construct, to paste.
"""

import aws_cdk as cdk

from examples.local import reasons
from examples.local.nag import HIPAA, PCI, R5, Acknowledgement, acknowledge_all, each

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

FUNCTION_RESOURCES = tuple(f"{name}/Resource" for name in FUNCTIONS)

PUBLIC_ROUTE = reasons.Reason(
    ids=each("VPCNoUnrestrictedRouteToIGW", HIPAA, R5, PCI),
    why="the NAT gateway is in a public subnet; the instances are in the private ones",
)
PUBLIC_ADDRESS = reasons.Reason(
    ids=each("VPCSubnetAutoAssignPublicIpDisabled", HIPAA, R5, PCI),
    why="nothing of this stack but the NAT gateway is in a public subnet",
)
DEFAULT_GROUP = reasons.Reason(
    ids=each("VPCDefaultSecurityGroupClosed", *reasons.ALL),
    why="nothing of this stack uses the default group; closing it takes a custom resource",
)

ACKNOWLEDGEMENTS: list[Acknowledgement] = [
    reasons.UNNAMED.on(*(f"{name}Role/DefaultPolicy/Resource" for name in FUNCTIONS)),
    *(
        reasons.VERSIONS.on("Pruner/FunctionRole/DefaultPolicy/Resource", function=name)
        for name in ("Research45C4ADF7", "Support5CFB64A3")
    ),
    reasons.INLINE.on(*POLICIES, "Network/FlowLog/IAMRole/DefaultPolicy/Resource"),
    reasons.OPERATOR.on("Pool/OperatorRole/Resource"),
    reasons.RUNTIME.on(*FUNCTION_RESOURCES),
    reasons.CALLED.on(*(f"{name}/Resource" for name in CALLED)),
    reasons.SCHEDULED.on(*(f"{name}/Resource" for name in TOOLS)),
    reasons.RETRIED.on("Pruner/Function/EventInvokeConfig/Resource"),
    reasons.CONCURRENCY.on(*FUNCTION_RESOURCES),
    reasons.NETWORK.on(*FUNCTION_RESOURCES),
    reasons.ENVIRONMENT.on(*FUNCTION_RESOURCES),
    reasons.LOG_KEY.on(*(f"{name}/Resource" for name in LOG_GROUPS)),
    reasons.ALARM_ACTION.on(*(f"{name}Alarm/Resource" for name in ALARMS)),
    PUBLIC_ROUTE.on(*(f"{name}/DefaultRoute" for name in PUBLIC_SUBNETS)),
    PUBLIC_ADDRESS.on(*(f"{name}/Subnet" for name in PUBLIC_SUBNETS)),
    DEFAULT_GROUP.on("Network/Resource"),
    *(accepted for api in APIS for accepted in reasons.of_signed_api(api, ["api/v1/chat/POST"])),
]


def acknowledge(stack: cdk.Stack, *, local: bool) -> None:
    """Attach every acknowledgement to its construct, as far as there are managed instances."""
    left_out = WITH_INSTANCES if local else ()
    acknowledge_all(
        stack,
        [
            ([path for path in paths if not path.startswith(left_out)], ids, reason)
            for paths, ids, reason in ACKNOWLEDGEMENTS
        ],
    )
