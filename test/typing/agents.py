"""Agents, their queue, and where their conversations are kept."""

from pathlib import Path
from typing import assert_type

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticache as elasticache
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_ssm as ssm

from ak_constructs import AgentFunction, AgentQueue, SessionStore


def an_agent(
    stack: cdk.Stack, role: iam.Role, secret: secretsmanager.Secret, parameter: ssm.IStringParameter
) -> AgentFunction:
    """Takes CDK's classes and what is imported, a path or a text, and is a function."""
    AgentFunction(stack, "Own", code=lambda_.Code.from_inline(""), handler="index.handler")
    agent = AgentFunction(
        stack,
        "Agent",
        entry=Path("agent"),
        agent="agent:respond",
        environment={"LEVEL": "high"},
        key=kms.Key(stack, "Key"),
        role=role,
        secrets={"A": secret, "B": (secret, "field"), "C": parameter},
        timeout=cdk.Duration.minutes(1),
    )
    assert_type(agent.has_own_handler, bool)
    assert_type(agent.chat_path, str | None)
    assert_type(agent.vpc, ec2.IVpc | None)
    assert_type(agent.vpc_subnets, ec2.SubnetSelection | None)
    assert_type(agent.log_group, logs.ILogGroup)
    assert_type(agent.add_alias("live"), lambda_.Alias)
    return agent


def a_queue(stack: cdk.Stack, agent: AgentFunction, imported: lambda_.IFunction, operator: iam.Role) -> None:
    """Takes a function, an alias of it, or one that is imported."""
    AgentQueue(stack, "Imported", agent=imported)
    AgentQueue(stack, "Live", agent=agent.add_alias("live"), retention=cdk.Duration.days(1))
    store = SessionStore(stack, "Sessions")
    queue = AgentQueue(stack, "Queue", agent=agent, fifo=False, max_concurrency=5, session_store=store)
    queue.add_reply_handler(agent)
    assert_type(queue.agent, lambda_.IFunction)
    assert_type(queue.request_queue, sqs.Queue)
    assert_type(queue.reply_queue, sqs.Queue)
    assert_type(queue.dead_letter_queue, sqs.Queue)
    assert_type(queue.parked_queue, sqs.Queue)
    assert_type(queue.parked_reply_queue, sqs.Queue)
    assert_type(queue.requests_table, dynamodb.TableV2)
    assert_type(queue.payloads, s3.Bucket)
    assert_type(queue.response_handler, lambda_.Function)
    assert_type(queue.dead_letter_handler, lambda_.Function)
    assert_type(queue.redrive_function, lambda_.Function)
    assert_type(queue.mapping, lambda_.EventSourceMapping)
    assert_type(queue.fifo, bool)
    assert_type(queue.retention, cdk.Duration)
    assert_type(queue.grant_send_requests(agent), iam.Grant)
    assert_type(queue.grant_redrive(operator), iam.Grant)


def stores(stack: cdk.Stack, agent: AgentFunction, vpc: ec2.Vpc, secret: secretsmanager.Secret) -> None:
    """Three ways to one, and each is attached alike."""
    store = SessionStore(stack, "Table", history_turns=10, ttl=cdk.Duration.days(7), key=kms.Key(stack, "Key"))
    assert_type(store.table, dynamodb.TableV2 | None)
    assert_type(store.memory_backend, str)
    assert_type(store.history_turns, int)
    assert_type(store.ttl, cdk.Duration)
    faster = SessionStore.redis(stack, "Cache", vpc=vpc)
    assert_type(faster, SessionStore)
    assert_type(faster.cache, elasticache.CfnServerlessCache | None)
    assert_type(faster.client_layer, lambda_.LayerVersion | None)
    assert_type(faster.security_group, ec2.ISecurityGroup | None)
    there = SessionStore.from_redis(stack, "There", host="redis.example.com", secret=secret)
    for each in (store, faster, there):
        each.attach(agent)
