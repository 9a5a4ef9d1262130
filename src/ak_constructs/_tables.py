"""How a table of ours is defined, and who may read and write its items."""

from typing import cast

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from ak_constructs._encryption import READ_ITEM_ACTIONS, WRITE_ITEM_ACTIONS, check_key, let_use

READ_ONLY = {"dynamodb:BatchGetItem", "dynamodb:DescribeTable", "dynamodb:GetItem", "dynamodb:Query"}


def define_table(
    scope: Construct, id: str, *, partition_key: str, sort_key: str | None = None, key: kms.IKey | None
) -> dynamodb.TableV2:
    """Define a table: on demand, encrypted, with point-in-time recovery; it outlives its stack."""
    check_key(scope, key)
    encryption = dynamodb.TableEncryptionV2
    # In a stack of no certain region CDK refuses a customer's key, though a table without replicas names no region.
    by_hand = key is not None and cdk.Token.is_unresolved(cdk.Stack.of(scope).region)
    table = dynamodb.TableV2(
        scope,
        id,
        partition_key=_text(partition_key),
        sort_key=_text(sort_key) if sort_key else None,
        billing=dynamodb.Billing.on_demand(),
        encryption=encryption.customer_managed_key(key) if key and not by_hand else encryption.aws_managed_key(),
        point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
            point_in_time_recovery_enabled=True
        ),
        time_to_live_attribute="expiry_time",
        removal_policy=cdk.RemovalPolicy.RETAIN,
    )
    if key and by_hand:
        resource = cast(dynamodb.CfnGlobalTable, table.node.default_child)
        resource.add_property_override("Replicas.0.SSESpecification.KMSMasterKeyId", key.key_arn)
    return table


def let_use_items(table: dynamodb.TableV2, grantee: iam.IGrantable, *actions: str, key: kms.IKey | None) -> iam.Grant:
    """Let somebody do something with items, and have them decrypted by their table's key."""
    reads_only = set(actions) <= READ_ONLY
    let_use(key, grantee, READ_ITEM_ACTIONS if reads_only else WRITE_ITEM_ACTIONS, service="dynamodb")
    return table.grant(grantee, *actions)


def _text(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)
