"""Acknowledges what cdk-nag finds, by path and id: what both examples need for that."""

import aws_cdk as cdk

ALL_THREE = ("HIPAA.Security", "NIST.800.53.R5", "PCI.DSS.321")
WITHOUT_PCI = ("HIPAA.Security", "NIST.800.53.R5")
WITHOUT_HIPAA = ("NIST.800.53.R5", "PCI.DSS.321")

Acknowledgements = list[tuple[tuple[str, ...], tuple[str, ...], str]]  # paths, ids, reason


def each(packs: tuple[str, ...], rule: str) -> tuple[str, ...]:
    """Name a rule in several packs."""
    return tuple(f"{pack}-{rule}" for pack in packs)


def acknowledge_all(stack: cdk.Stack, acknowledgements: Acknowledgements) -> None:
    """Attach every acknowledgement to its construct."""
    constructs = {child.node.path: child for child in stack.node.find_all()}  # once: every question goes to Node.js
    for paths, ids, reason in acknowledgements:
        for path in paths:
            construct = constructs[f"{stack.node.path}/{path}"]
            cdk.Validations.of(construct).acknowledge(*(cdk.Acknowledgment(id=id_, reason=reason) for id_ in ids))
