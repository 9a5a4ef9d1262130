"""How the bucket for large bodies is defined, and who may read and write which of them."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from ak_constructs._encryption import OBJECT_ACTIONS, let_use


def define_payloads(scope: Construct, id: str, *, kept_days: int, key: kms.IKey | None) -> s3.Bucket:
    """Define a bucket: private, encrypted, TLS only; its objects expire, and it outlives its stack."""
    return s3.Bucket(
        scope,
        id,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        bucket_key_enabled=True if key else None,  # one call to KMS for many objects
        encryption=s3.BucketEncryption.KMS if key else s3.BucketEncryption.S3_MANAGED,
        encryption_key=key,
        enforce_ssl=True,
        lifecycle_rules=[s3.LifecycleRule(expiration=cdk.Duration.days(kept_days))],
        removal_policy=cdk.RemovalPolicy.RETAIN,
    )


def let_use_objects(bucket: s3.Bucket, grantee: iam.IGrantable, action: str, keys: str) -> None:
    """Let somebody read or write objects of certain keys."""
    iam.Grant.add_to_principal(grantee=grantee, actions=[action], resource_arns=[bucket.arn_for_objects(keys)])
    let_use(bucket.encryption_key, grantee, OBJECT_ACTIONS[action], service="s3")
