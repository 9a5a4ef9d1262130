"""Acknowledges what cdk-nag finds, by path and id: what the examples need for that."""

import aws_cdk as cdk

ALL_THREE = ("HIPAA.Security", "NIST.800.53.R5", "PCI.DSS.321")
WITHOUT_PCI = ("HIPAA.Security", "NIST.800.53.R5")
WITHOUT_HIPAA = ("NIST.800.53.R5", "PCI.DSS.321")

Acknowledgements = list[tuple[tuple[str, ...], tuple[str, ...], str]]  # paths, ids, reason


def each(packs: tuple[str, ...], rule: str) -> tuple[str, ...]:
    """Name a rule in several packs."""
    return tuple(f"{pack}-{rule}" for pack in packs)


def of_signed_api(api: str, routes: tuple[str, ...]) -> Acknowledgements:
    """Accept what is found of an API whose callers sign with IAM, by its id and its routes but health."""
    stage = (f"{api}/RestApi/DeploymentStage.prod/Resource",)
    health = (f"{api}/RestApi/Default/health/GET/Resource",)
    signed = tuple(f"{api}/RestApi/Default/{route}/Resource" for route in (*routes, "{proxy+}/ANY", "ANY"))
    return [
        (
            stage,
            ("AwsSolutions-APIG6", *each(ALL_THREE, "APIGWExecutionLoggingEnabled")),
            "execution logs would hold prompts",
        ),
        (stage, each(ALL_THREE, "APIGWCacheEnabledAndEncrypted"), "answers must not be cached"),
        (stage, each(ALL_THREE, "APIGWSSLEnabled"), "the backends are Lambda functions, called over TLS with IAM"),
        (stage, ("AwsSolutions-APIG3", *each(WITHOUT_HIPAA, "APIGWAssociatedWithWAF")), "only signed callers get in"),
        (
            (f"{api}/RestApi/Resource",),
            ("AwsSolutions-APIG2",),
            "the chat route has a validator; the rule looks for one on the whole API",
        ),
        (health, ("AwsSolutions-APIG4",), "health is open: it says nothing but that the API is up"),
        ((*health, *signed), ("AwsSolutions-COG4",), "callers are backends that sign with IAM"),
    ]


def acknowledge_all(stack: cdk.Stack, acknowledgements: Acknowledgements) -> None:
    """Attach every acknowledgement to its construct."""
    constructs = {child.node.path: child for child in stack.node.find_all()}  # once: every question goes to Node.js
    for paths, ids, reason in acknowledgements:
        for path in paths:
            construct = constructs[f"{stack.node.path}/{path}"]
            cdk.Validations.of(construct).acknowledge(*(cdk.Acknowledgment(id=id_, reason=reason) for id_ in ids))
