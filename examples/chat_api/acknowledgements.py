"""What cdk-nag finds in this example and why it is accepted here; paste what fits into your own stack.

Each finding by its exact path and id: a new one must be looked at, and one that is gone must go here too.
"""

import aws_cdk as cdk

from examples.local.nag import ALL_THREE, WITHOUT_PCI, Acknowledgements, acknowledge_all, each, of_signed_api

ROLES = ("AgentRole/DefaultPolicy/Resource", "Api/HealthRole/DefaultPolicy/Resource")
FUNCTIONS = ("Agent/Resource", "Api/Health/Resource")
LOG_GROUPS = ("AgentLogs/Resource", "Api/AccessLogs/Resource", "Api/HealthLogs/Resource")

ACKNOWLEDGEMENTS: Acknowledgements = [
    (ROLES, ("AwsSolutions-IAM5[Resource::*]",), "X-Ray has no resources to name; everything else is named"),
    (ROLES, each(ALL_THREE, "IAMNoInlinePolicy"), "each policy belongs to one role and goes with it"),
    (
        FUNCTIONS,
        ("AwsSolutions-L1", "Serverless-LambdaLatestVersion"),
        "Python 3.13 is what this release was tested with",
    ),
    (
        FUNCTIONS,
        (*each(WITHOUT_PCI, "LambdaDLQ"), "Serverless-LambdaDLQ"),
        "called through an API only, which waits for the answer: nothing is retried or lost unseen",
    ),
    (FUNCTIONS, each(WITHOUT_PCI, "LambdaConcurrency"), "the stage's rate limit bounds an example"),
    (
        FUNCTIONS,
        each(ALL_THREE, "LambdaInsideVPC"),
        "calls public AWS endpoints only; give vpc= where a network is needed",
    ),
    (
        LOG_GROUPS,
        each(ALL_THREE, "CloudWatchLogGroupEncrypted"),
        "encrypted with CloudWatch's own key; no prompt is logged",
    ),
    *of_signed_api("Api", ("api/v1/chat/POST",)),
]


def acknowledge(stack: cdk.Stack) -> None:
    """Attach every acknowledgement to its construct."""
    acknowledge_all(stack, ACKNOWLEDGEMENTS)
