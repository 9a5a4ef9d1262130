"""What cdk-nag and Checkov find in this example and why it is accepted here.

Each finding by its exact path and id: a new one must be looked at, and one that is gone must go here too.
docs/findings.md has the same for each construct, to paste.
"""

import aws_cdk as cdk

from examples.local import reasons
from examples.local.nag import Acknowledgement, acknowledge_all

ROLES = ("AgentRole/DefaultPolicy/Resource", "Api/HealthRole/DefaultPolicy/Resource")
FUNCTIONS = ("Agent/Resource", "Api/Health/Resource")
LOG_GROUPS = ("AgentLogs/Resource", "Api/AccessLogs/Resource", "Api/HealthLogs/Resource")

ACKNOWLEDGEMENTS: list[Acknowledgement] = [
    reasons.UNNAMED.on(*ROLES),
    reasons.INLINE.on(*ROLES),
    reasons.RUNTIME.on(*FUNCTIONS),
    reasons.CALLED.on(*FUNCTIONS),
    reasons.CONCURRENCY.on(*FUNCTIONS),
    reasons.NETWORK.on(*FUNCTIONS),
    reasons.ENVIRONMENT.on(*FUNCTIONS),
    reasons.LOG_KEY.on(*LOG_GROUPS),
    *reasons.of_signed_api("Api", ["api/v1/chat/POST"]),
]


def acknowledge(stack: cdk.Stack) -> None:
    """Attach every acknowledgement to its construct."""
    acknowledge_all(stack, ACKNOWLEDGEMENTS)
