"""Who may use a customer's key, each through one service only."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import IConstruct

# https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html, read 2026-11-21
LOGS_ACTIONS = ["kms:Encrypt*", "kms:Decrypt*", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"]
# A sender proves a data key by using it, too.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html, read 2026-11-21
SEND_ACTIONS = ["kms:GenerateDataKey", "kms:Decrypt"]
RECEIVE_ACTIONS = ["kms:Decrypt"]
# AWS's minimum for a customer's key, without kms:CreateGrant, which is for whoever makes the table; CDK's grants tell
# reading from writing, too. Writing needs kms:Decrypt too: https://github.com/aws/aws-cdk/issues/10010
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html#dynamodb-kms-authz, as
# quoted in https://github.com/govuk-one-login/authentication-api/pull/6035, read 2026-11-21
READ_ITEM_ACTIONS = ["kms:Decrypt", "kms:DescribeKey"]
WRITE_ITEM_ACTIONS = [
    *READ_ITEM_ACTIONS,
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
]
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html, read 2026-11-21
OBJECT_ACTIONS = {"s3:GetObject": ["kms:Decrypt"], "s3:PutObject": ["kms:GenerateDataKey"]}


def check_key(scope: IConstruct, key: kms.IKey | None) -> None:
    """Raise on what a template would take and AWS refuse, or never allow: a policy's alias is no key to KMS.

    https://docs.aws.amazon.com/kms/latest/developerguide/alias-authorization.html, read 2026-11-21
    """
    if key is None:
        return
    if not hasattr(key, "key_arn"):
        raise TypeError(f"key must be a key, got a value of type {type(key).__name__}; give kms.Key.from_key_arn(...)")
    if hasattr(key, "alias_name"):
        raise ValueError(
            "key must be a key, got an alias, which policies cannot name; give the key itself, or "
            "kms.Key.from_lookup(..., alias_name=...)"
        )
    here, there = cdk.Stack.of(scope).region, key.env.region
    if not (cdk.Token.is_unresolved(here) or cdk.Token.is_unresolved(there)) and here != there:
        raise ValueError(f"key must be of the stack's region, {here}, got one of {there}; make one there")


def let_logs_use(key: kms.IKey) -> None:
    """Let CloudWatch Logs encrypt log groups of the key's account and region; an imported key's policy stays as it is.

    Not one group by its name: CloudFormation makes it when the group is made, for which the policy must be there. In a
    key's own policy the resource `*` is the key itself.
    """
    stack = cdk.Stack.of(key)
    groups = stack.format_arn(
        service="logs", resource="log-group", resource_name="*", arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME
    )
    key.add_to_resource_policy(
        iam.PolicyStatement(
            principals=[iam.ServicePrincipal(f"logs.{stack.region}.{stack.url_suffix}")],
            actions=LOGS_ACTIONS,
            resources=["*"],
            conditions={"ArnLike": {"kms:EncryptionContext:aws:logs:arn": groups}},
        )
    )


def let_use(
    key: kms.IKey | None, grantee: iam.IGrantable, actions: list[str], *, service: str, region: str | None = None
) -> None:
    """Let somebody use a key, if there is one, through a service: never on texts of his own.

    The service's region is the key's stack's, unless what is encrypted lies in another.
    """
    if key is None:
        return
    conditions = through(service, cdk.Stack.of(key), region)
    principal = grantee.grant_principal
    grant = iam.Grant.add_to_principal(
        grantee=grantee, actions=actions, resource_arns=[key.key_arn], conditions=conditions
    )
    if not (grant.success and _is_of_account(principal, key.env.account)):
        # CDK's own add_to_principal_or_resource leaves the conditions out here. The resource is the key itself.
        key.add_to_resource_policy(
            iam.PolicyStatement(principals=[principal], actions=actions, resources=["*"], conditions=conditions)
        )


def through(service: str, stack: cdk.Stack, region: str | None = None) -> dict[str, dict[str, str]]:
    """Give the conditions that a key's use by a service fulfils."""
    return {"StringEquals": {"kms:ViaService": f"{service}.{region or stack.region}.{stack.url_suffix}"}}


def _is_of_account(principal: iam.IPrincipal, account: str) -> bool:
    """As CDK has it: two accounts that are known at deployment only are one."""
    theirs = principal.principal_account
    return theirs == account or (
        theirs is not None and cdk.Token.is_unresolved(theirs) and cdk.Token.is_unresolved(account)
    )
