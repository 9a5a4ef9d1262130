"""Every example with IAM enforced: each role may do what it must, needs each thing it may, and does nothing else."""

import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import httpx
import pytest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from ak_constructs.local.deployment import bootstrap, deploy, install_cdk
from ak_constructs.local.emulator import Emulator, emulator
from ak_constructs.local.logs import client
from ak_constructs.local.signing import signed_headers
from examples.local.issuer import Issuer, issuer
from examples.websocket_chat.app import AUDIENCE
from test.local import version_pruner_cases as versions
from test.local.permission_cases import CASES, WITH_ALL
from test.local.permission_chats import CHATS
from test.local.permission_paths import Paths
from test.local.permissions import Decision, Grant, Permissions
from test.local.queued_pipeline import until

pytestmark = pytest.mark.local
Key = tuple[str, str, str]
Outcomes = dict[Key, Exception | None]
# What an event source mapping does itself, by the function's role, which nothing here is asked for.
POLLS = {"sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"}


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Run an emulator that checks signatures and policies, with functions whose versions pile up."""
    install_cdk()
    with emulator(tmp_path_factory.mktemp("iam") / "emulator.log", enforce_iam=True) as running:
        yield running


@pytest.fixture(scope="module")
def made(aws: Emulator) -> dict[str, versions.Versions]:
    """Publish versions of four functions."""
    return versions.publish(aws, versions.IAM_NAMES)


@pytest.fixture(scope="module")
def signs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    """Run an issuer of tokens."""
    with issuer(tmp_path_factory.mktemp("issuer")) as running:
        yield running


@pytest.fixture(scope="module")
def outputs(
    aws: Emulator, made: dict[str, versions.Versions], signs: Issuer, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, str]]:
    """Deploy every example, and the pruners of those functions."""
    assert made
    work = tmp_path_factory.mktemp("work")
    bootstrap(aws, work)
    context = {"issuer": signs.url, "authority": str(signs.authority)}
    return deploy(aws, work, app=f"{sys.executable} -m test.local.permissions_app", context=context)


@pytest.fixture(scope="module")
def permissions(aws: Emulator, outputs: dict[str, dict[str, str]]) -> Permissions:
    """Give the roles."""
    return Permissions(aws, list(outputs))


@pytest.fixture(scope="module")
def granted(permissions: Permissions) -> list[Grant]:
    """Give what they may do."""
    found = permissions.grants()
    assert len(set(found)) == len(found), "two grants have one name"
    return found


@pytest.fixture(scope="module")
def paths(aws: Emulator, outputs: dict[str, dict[str, str]], signs: Issuer) -> Iterator[Paths]:
    """Give the deployed stacks from outside."""
    found = Paths(aws, outputs, token=lambda user: signs.token(user, AUDIENCE))
    yield found
    found.of(CHATS).opened.close()


@pytest.fixture(scope="module")
def with_all(paths: Paths, permissions: Permissions) -> list[Decision]:
    """Take every path with all permissions, some at once, and give what was decided."""
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda path: path(paths), WITH_ALL))
    return permissions.decisions()


@pytest.fixture(scope="module")
def outcomes(paths: Paths, permissions: Permissions, granted: list[Grant], with_all: list[Decision]) -> Outcomes:
    """Take one permission after the other from each role, from all roles at the same time, and tell what was wrong."""
    assert with_all
    there = {(grant.role, grant.action, grant.resource): grant for grant in granted}
    roles = defaultdict(list)
    for key in CASES:
        roles[key[0]].append(key)
    found: Outcomes = {}

    def take_one_by_one(keys: Sequence[Key]) -> None:
        for key in keys:
            for _ in range(
                2
            ):  # one that nobody needs fails twice; on a busy machine a line of a log has failed to come
                try:
                    take(permissions, there[key], lambda key=key: CASES[key](paths.of(key[0].partition("/")[0])))  # type: ignore[misc]
                    found[key] = None
                    break
                except Exception as error:  # noqa: BLE001 - raised in a test of its own
                    found[key] = error

    with ThreadPoolExecutor(len(roles)) as threads:
        list(threads.map(take_one_by_one, roles.values()))
    return found


def take(permissions: Permissions, grant: Grant, path: Callable[[], Callable[[], object] | None]) -> None:
    """Take a permission away and a path, which ends in that refusal and in no other; give it back."""
    with permissions.without(grant):
        before = len(permissions.decisions())
        works_again = path()

        def refused() -> set[tuple[str, bool]]:
            theirs = [each for each in permissions.decisions(before) if each.role == grant.role and not each.allowed]
            return {(each.action, grant.covers(each.resource)) for each in theirs}

        assert until(refused) == {(grant.action, True)}
    if works_again:
        works_again()


@pytest.fixture(scope="module")
def used(outcomes: Outcomes, permissions: Permissions, granted: list[Grant]) -> list[Grant]:
    """Give the permissions that something needed which the emulator checked."""
    assert outcomes
    allowed = {each for each in permissions.decisions() if each.role and each.allowed}
    return [
        grant
        for grant in granted
        if any(
            (grant.role, grant.action) == (each.role, each.action) and grant.covers(each.resource) for each in allowed
        )
    ]


def test_with_all_permissions_every_path_works_and_nothing_is_refused(with_all: list[Decision]) -> None:
    """Chats, waits, polls, large bodies, failures, redrives, history, health, warmth, pruning."""
    assert [each for each in with_all if each.role and not each.allowed] == []


@pytest.mark.parametrize("key", CASES, ids=" ".join)
def test_without_one_permission_its_path_fails_visibly(outcomes: Outcomes, key: Key) -> None:
    """With that very action refused to that very role, and no other."""
    error = outcomes[key]
    if error:
        raise error


def test_every_permission_that_the_emulator_checks_is_taken_away_once(used: list[Grant]) -> None:
    """Which ones it checks is what it was seen to decide."""
    print("checked:", *sorted({grant.action for grant in used}))  # noqa: T201 - what this suite proves
    assert {(grant.role, grant.action, grant.resource) for grant in used} == set(CASES)


def test_what_is_granted_and_not_seen_to_be_used_is_lambdas_or_the_schedulers(
    aws: Emulator, permissions: Permissions, granted: list[Grant], used: list[Grant]
) -> None:
    """One of these that is seen to be used must not be excused either."""
    functions = client("lambda", aws)
    mapped = {
        (permissions.role_of(each["FunctionArn"]), each["EventSourceArn"])
        for page in functions.get_paginator("list_event_source_mappings").paginate()
        for each in page["EventSourceMappings"]
    }

    def is_excused(grant: Grant) -> bool:
        return (
            grant.action.startswith(("logs:", "xray:"))  # by Lambda's runtime
            or (grant.action in POLLS and (grant.role, grant.arns[0]) in mapped)
            or permissions.trusted[grant.role] == "scheduler.amazonaws.com"  # it invokes past the emulator's IAM
            # Asked of versions that may have durable executions, here none: test_role_permissions has one.
            or grant.action == "lambda:ListDurableExecutionsByFunction"
        )

    assert [grant for grant in granted if grant not in used] == [grant for grant in granted if is_excused(grant)]


def test_functions_call_nothing_that_is_not_granted_or_not_checked(
    permissions: Permissions, granted: list[Grant], used: list[Grant]
) -> None:
    """As botocore says it, whatever the emulator makes of a call."""
    calls = permissions.calls()
    assert calls <= {(grant.role, grant.action) for grant in granted}
    assert calls == {(grant.role, grant.action) for grant in used}


def user(aws: Emulator, name: str, action: str, resource: str | list[str] | None) -> Credentials:
    """Make a user who may do one thing, or nothing."""
    users = client("iam", aws)
    users.create_user(UserName=name)
    if resource:
        statement = {"Effect": "Allow", "Action": action, "Resource": resource}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        users.put_user_policy(UserName=name, PolicyName="one", PolicyDocument=policy)
    key = users.create_access_key(UserName=name)["AccessKey"]
    return Credentials(key["AccessKeyId"], key["SecretAccessKey"])


def client_of(service: str, aws: Emulator, credentials: Credentials) -> Any:  # noqa: ANN401 - boto3 makes its classes
    """Make a client that is somebody's."""
    return boto3.client(
        service,  # type: ignore[call-overload]
        endpoint_url=aws.endpoint,
        region_name="us-east-1",
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
    )


def test_only_a_user_with_the_permission_and_the_secret_may_call(
    aws: Emulator, outputs: dict[str, dict[str, str]]
) -> None:
    """Right, not allowed, wrongly signed."""
    url, body = aws.reachable(outputs["ChatApi"]["ChatUrl"]), b'{"prompt": "hi"}'
    api = f"arn:aws:execute-api:us-east-1:000000000000:{url.partition('/execute-api/')[2].partition('/')[0]}"

    def ask(credentials: Credentials) -> httpx.Response:
        headers = signed_headers("POST", url, body, credentials=credentials, region="us-east-1")
        return httpx.post(url, content=body, headers=headers, timeout=35)

    allowed = user(aws, "alice", "execute-api:Invoke", f"{api}/prod/POST/api/v1/chat")
    assert ask(allowed).json()["result"].startswith("[ministack mock")
    elsewhere = user(aws, "bob", "execute-api:Invoke", f"{api}/prod/GET/health")
    nobody = user(aws, "carol", "execute-api:Invoke", None)
    for credentials in (elsewhere, nobody, Credentials(allowed.access_key, "wrong")):
        assert ask(credentials).status_code == 403  # by the emulator, before its gateway could choose the words
    assert httpx.post(url, content=body).status_code == 403


@pytest.mark.usefixtures("outcomes")
def test_a_pruner_with_all_permissions_leaves_what_is_not_to_go(
    aws: Emulator, paths: Paths, made: dict[str, versions.Versions]
) -> None:
    """Once nothing is refused any more, also after it was interrupted so often."""
    assert paths.of("Pruning").prune("ByNameFunction", {})["failures"] == []
    left = versions.all_numbered(aws, list(made))
    for name, numbers in made.items():
        assert left[name] == {str(number) for number in [*numbers.old, *numbers.young]} - numbers.to_go()


@pytest.mark.usefixtures("outcomes")
def test_the_permission_to_prune_deletes_versions_and_not_the_function(
    aws: Emulator, outputs: dict[str, dict[str, str]], granted: list[Grant]
) -> None:
    """Held against somebody who has just that, and means harm."""
    (delete,) = (grant for grant in granted if grant.action == "lambda:DeleteFunction")
    functions = client_of("lambda", aws, user(aws, "mallory", delete.action, list(delete.arns)))
    with pytest.raises(ClientError, match="AccessDenied"):
        functions.delete_function(FunctionName="worker-00")
    with pytest.raises(ClientError, match="AccessDenied"):
        functions.delete_function(FunctionName=outputs["Pruning"]["ByNameFunction"], Qualifier="1")
    functions.delete_function(FunctionName="worker-00", Qualifier="11")
    assert "11" not in versions.numbered(aws, "worker-00")
    assert "12" in versions.numbered(aws, "worker-00")


def test_a_queue_that_wants_tls_is_usable(aws: Emulator) -> None:
    """On AWS every endpoint has it, and here none; apart from that the queue's policy works."""
    queues = client("sqs", aws)
    url = queues.create_queue(QueueName="secure")["QueueUrl"]

    def refuse_when(secure: str) -> None:
        refusal = {"Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Resource": "*"}
        statement = {**refusal, "Condition": {"Bool": {"aws:SecureTransport": secure}}}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        queues.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})

    refuse_when("false")
    queues.send_message(QueueUrl=url, MessageBody="hi")
    refuse_when("true")
    with pytest.raises(ClientError, match="AccessDenied"):
        queues.send_message(QueueUrl=url, MessageBody="hi")


def test_who_may_send_a_message_may_send_a_batch(aws: Emulator) -> None:
    """IAM has no actions for SQS's batches; what is allowed for one message counts."""
    client("sqs", aws).create_queue(QueueName="batches")
    erin = user(aws, "erin", "sqs:SendMessage", "arn:aws:sqs:us-east-1:000000000000:batches")
    queues = client_of("sqs", aws, erin)
    url = f"{aws.endpoint}/000000000000/batches"
    assert queues.send_message_batch(QueueUrl=url, Entries=[{"Id": "1", "MessageBody": "hi"}])["Successful"]
    with pytest.raises(ClientError, match="AccessDenied"):
        queues.receive_message(QueueUrl=url)
