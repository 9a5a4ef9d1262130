"""Accepts what cdk-nag and Checkov find, each by its path and id; copy this file with what docs/findings.md says."""

from collections.abc import Iterable, Sequence
from typing import cast

import aws_cdk as cdk
from constructs import IConstruct

HIPAA, R4, R5, PCI = "HIPAA.Security", "NIST.800.53.R4", "NIST.800.53.R5", "PCI.DSS.321"

Acknowledgement = tuple[Sequence[str], Sequence[str], str]  # paths, ids, reason


def each(rule: str, *packs: str) -> tuple[str, ...]:
    """Name a rule in several packs of cdk-nag."""
    return tuple(f"{pack}-{rule}" for pack in packs)


def acknowledge_all(scope: IConstruct, acknowledgements: Iterable[Acknowledgement]) -> None:
    """Attach every acknowledgement to its resource below a construct or a stack."""
    below = {child.node.path: child for child in scope.node.find_all()}  # once: every question goes to Node.js
    for paths, ids, reason in acknowledgements:
        rules = [cdk.Acknowledgment(id=id_, reason=reason) for id_ in ids if not id_.startswith("CKV")]
        checks = [{"id": id_, "comment": reason} for id_ in ids if id_.startswith("CKV")]
        for path in paths:
            resource = cast(cdk.CfnResource, below[f"{scope.node.path}/{path}"])
            if rules:
                cdk.Validations.of(resource).acknowledge(*rules)
            if checks:
                skipped = (resource.get_metadata("checkov") or {"skip": []})["skip"]
                resource.add_metadata("checkov", {"skip": [*skipped, *checks]})
