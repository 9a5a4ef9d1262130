"""What cdk-nag finds in this example and why it is accepted here; paste what fits into your own stack.

Each finding by its exact path and id: a new one must be looked at, and one that is gone must go here too.
"""

import aws_cdk as cdk

from examples.local.nag import ALL_THREE, WITHOUT_HIPAA, WITHOUT_PCI, Acknowledgements, acknowledge_all, each

ROLES = ("AgentRole/DefaultPolicy/Resource", "Api/HealthRole/DefaultPolicy/Resource")
FUNCTIONS = ("Agent/Resource", "Api/Health/Resource")
LOG_GROUPS = ("AgentLogs/Resource", "Api/AccessLogs/Resource", "Api/HealthLogs/Resource")
STAGE = ("Api/RestApi/DeploymentStage.prod/Resource",)
HEALTH = ("Api/RestApi/Default/health/GET/Resource",)
SIGNED = tuple(f"Api/RestApi/Default/{route}/Resource" for route in ("api/v1/chat/POST", "{proxy+}/ANY", "ANY"))

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
    (
        STAGE,
        ("AwsSolutions-APIG6", *each(ALL_THREE, "APIGWExecutionLoggingEnabled")),
        "execution logs would hold prompts",
    ),
    (STAGE, each(ALL_THREE, "APIGWCacheEnabledAndEncrypted"), "answers must not be cached"),
    (STAGE, each(ALL_THREE, "APIGWSSLEnabled"), "the backends are Lambda functions, called over TLS with IAM"),
    (STAGE, ("AwsSolutions-APIG3", *each(WITHOUT_HIPAA, "APIGWAssociatedWithWAF")), "only signed callers get in"),
    (
        ("Api/RestApi/Resource",),
        ("AwsSolutions-APIG2",),
        "the chat route has a validator; the rule looks for one on the whole API",
    ),
    (HEALTH, ("AwsSolutions-APIG4",), "health is open: it says nothing but that the API is up"),
    ((*HEALTH, *SIGNED), ("AwsSolutions-COG4",), "callers are backends that sign with IAM"),
]


def acknowledge(stack: cdk.Stack) -> None:
    """Attach every acknowledgement to its construct."""
    acknowledge_all(stack, ACKNOWLEDGEMENTS)
