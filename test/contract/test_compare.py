"""What breaks users since the last release is found, and only that; each row is a change made on purpose."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import ak_constructs
from scripts import compare, contract
from scripts.promises import read
from scripts.promises.differences import Difference, differences
from scripts.promises.written import written

ROOT = Path(__file__).parents[2]
TEXT = (compare.RELEASED / "contract.json").read_text(encoding="utf-8")
(WHEEL,) = compare.RELEASED.glob("*.whl")
QUEUED = "AgentQueue: "
FIFO_USES = "alone; key; vpc; session_store; add_reply_handler"  # all but one


def found(text: str) -> list[Difference]:
    """Compare the last release with one that promises this."""
    return differences(contract.parsed(TEXT), contract.parsed(text), read.read)


def changed(old: str, new: str) -> str:
    """Change what is promised, wherever it is."""
    assert old in TEXT
    return TEXT.replace(old, new)


def added(line: str) -> str:
    """Promise one thing more of every queue."""
    return TEXT.replace(REQUESTS_TABLE, f'"{line}",\n    {REQUESTS_TABLE}')


REQUESTS_TABLE = '"resource QueueRequests6FAC22F0 AWS::DynamoDB::GlobalTable"'

BREAKING = [
    (
        *("resource QueueRequests6FAC22F0", "resource QueueAsked6FAC22F0", "deletes the deployed resource"),
        f"{QUEUED}resource QueueRequests6FAC22F0 AWS::DynamoDB::GlobalTable",
    ),
    (
        *("QueueRequests6FAC22F0 AWS::DynamoDB::GlobalTable", "QueueRequests6FAC22F0 AWS::DynamoDB::Table"),
        *("deletes the deployed resource", f"{QUEUED}resource QueueRequests6FAC22F0 AWS::DynamoDB::GlobalTable"),
    ),
    (
        *("replaces QueueRequestQueue679BA62E FifoQueue true", "replaces QueueRequestQueue679BA62E FifoQueue false"),
        *(
            "replaces the deployed",
            f"AgentQueue ({FIFO_USES}): replaces QueueRequestQueue679BA62E FifoQueue true",
        ),
    ),
    (
        *('"AttributeName\\":\\"request_id\\"', '"AttributeName\\":\\"id\\"', "replaces the deployed"),
        f'{QUEUED}replaces QueueRequests6FAC22F0 KeySchema [{{"AttributeName":"request_id","KeyType":"HASH"}}]',
    ),
    (
        *('"AttributeName\\":\\"expiry_time\\"', '"AttributeName\\":\\"ttl\\"', "never forgotten"),
        f'{QUEUED}keys QueueRequests6FAC22F0 TimeToLiveSpecification {{"AttributeName":"expiry_time","Enabled":true}}',
    ),
    (
        *("kept QueueRequests6FAC22F0 Retain", "kept QueueRequests6FAC22F0 Delete", "go with the stack"),
        f"{QUEUED}kept QueueRequests6FAC22F0 Retain",
    ),
    (
        *("AK_CONSTRUCTS_REPLY_QUEUE_URL", "AK_CONSTRUCTS_ANSWERS_URL", "do not find the variable"),
        f"{QUEUED}setting QueueResponseHandler533F4C8E AK_CONSTRUCTS_REPLY_QUEUE_URL",
    ),
    (
        *("QueueRedriveRoleEAD057D7 dynamodb:GetItem, ", "QueueRedriveRoleEAD057D7 ", "is refused"),
        f"{QUEUED}action QueueRedriveRoleEAD057D7 dynamodb:GetItem",
    ),
    (
        *("AgentApiGrantInvoke execute-api:Invoke", "AgentApiGrantInvoke execute-api:ManageConnections", "is refused"),
        "AgentApi: grant AgentApiGrantInvoke execute-api:Invoke",
    ),
    (
        *("GrantInvoke execute-api:Invoke", "GrantInvoke execute-api:Invoke, lambda:InvokeFunction"),
        *("written by hand", "AgentApi: now grant AgentApiGrantInvoke lambda:InvokeFunction"),
    ),
    (
        *("AkConstructs/WarmEnvironments", "AkConstructs/Warm", "dashboards"),
        "KeepWarm: metric KeepWarm.metric_warm_environments AkConstructs/WarmEnvironments by Target,Warmer",
    ),
    ('"route ping"', '"route pong"', "clients that send to this route", "WebSocketAgentApi: route ping"),
    (
        *("akConstructsIdentity", "akConstructsWho", "stages that users made"),
        "AgentApi: variable ApiRestApiDeploymentStageprodE828476C akConstructsIdentity",
    ),
    (
        *("MessageAttributes.request_id string", "MessageAttributes.id string", "does not find it: queue: reply"),
        "queue: reply: MessageAttributes.request_id string",
    ),
    ("pending_until number", "until number", "requests table: DONE", "requests table: DONE: pending_until number"),
    ("expiry_time number", "expiry_time string", "does not find", "requests table: piece: expiry_time number"),
    ("type CHAT_QUEUED", "type QUEUED", "WebSocket: queued", "WebSocket: queued: type CHAT_QUEUED"),
    ("statusCode 202", "statusCode 200", "HTTP: pending", "HTTP: pending: statusCode 202"),
    ("body.session_id string", "body.session string", "HTTP: answer", "HTTP: answer: body.session_id string"),
    ("ColdStarts number", "Cold number", "warmer's metrics", "warmer's metrics: ColdStarts number"),
    ("ak_constructs_ping.hold_ms", "ping.hold_ms", "ping", "keep-warm ping: ak_constructs_ping.hold_ms number"),
    (
        *(
            '"needs redrive AK_CONSTRUCTS_PARKED',
            '"needs redrive AK_CONSTRUCTS_NEW", "needs redrive AK_CONSTRUCTS_PARKED',
        ),
        *("until then", "code: now needs redrive AK_CONSTRUCTS_NEW"),
    ),
    ("fifo", "order", "whoever uses it so", "AgentQueue (fifo): use fifo"),
]


@pytest.mark.parametrize(
    ("old", "new", "breaks", "what"), BREAKING, ids=[str(number) for number in range(len(BREAKING))]
)
def test_a_broken_promise_is_found(old: str, new: str, breaks: str, what: str) -> None:
    """With whom it breaks, and what to do."""
    said = {each.what: each for each in found(changed(old, new))}
    assert what in said, sorted(said)
    assert breaks in said[what].breaks
    assert said[what].remedy


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("replaces QueueRequests6FAC22F0 TableName requests", "now replaces QueueRequests6FAC22F0 TableName requests"),
        ("resource QueueTopic12345678 AWS::SNS::Topic", "now makes AWS::SNS::Topic"),
    ],
)
def test_an_addition_that_breaks_is_found(line: str, what: str) -> None:
    """A name that replaces what is there; a kind of resource that the deployer may not be allowed to make."""
    assert f"{QUEUED}{what}" in {each.what for each in found(added(line))}


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        added("resource QueueMore12345678 AWS::SQS::Queue"),
        added("setting QueueRedrive6751560E AK_CONSTRUCTS_NEW"),
        added("action QueueRedriveRoleEAD057D7 sqs:GetQueueUrl"),
        added("metric AgentQueue.metric_new AkConstructs/New by Queue"),
        added("grant AgentQueueGrantNew sqs:SendMessage"),
        added("keys QueueRequests6FAC22F0 GlobalSecondaryIndexes []"),
        changed('"body.session_id string"', '"body.new string",\n   "body.session_id string"'),
        changed('"WebSocket: chunk"', '"WebSocket: new": ["type NEW"],\n  "WebSocket: chunk"'),
        changed("statusCode 202", "statusCode 202"),
        changed(
            '"needs redrive AK_CONSTRUCTS_PARKED_QUEUE_URL"',
            '"needs redrive AK_CONSTRUCTS_PARKED_QUEUE_URL", "needs redrive AK_CONSTRUCTS_PAYLOADS_BUCKET"',
        ),
    ],
    ids=[
        *("nothing", "resource", "setting", "action", "metric", "grant", "index", "member", "frame", "same", "needed")
    ],
)
def test_an_addition_breaks_nobody(text: str) -> None:
    """Not even a variable that is needed from now on, if every deployed function has it."""
    assert found(text) == []


def test_a_resource_that_is_gone_is_said_once_and_what_came_is_named() -> None:
    """And nothing is said of what was its own."""
    said = [
        each for each in found(changed("QueueRequests6FAC22F0", "QueueAsked6FAC22F0")) if each.what.startswith(QUEUED)
    ]
    assert [each.what for each in said] == [f"{QUEUED}resource QueueRequests6FAC22F0 AWS::DynamoDB::GlobalTable"]
    assert "new of its type: QueueAsked6FAC22F0" in said[0].remedy


def test_what_the_last_release_sent_must_be_understood_as_it_meant() -> None:
    """A key that old messages do not have, a field of callers that is renamed."""

    def reads(name: str, given: Any) -> Any:  # noqa: ANN401
        if name == "queue: reply":
            return {"fails": "KeyError: 'trace_id'"}
        said = read.read(name, given)
        return json.loads(json.dumps(said).replace('"agent"', '"agent_name"')) if name == "HTTP request" else said

    old = contract.parsed(TEXT)
    said = [each.what for each in differences(old, old, reads)]
    assert 'HTTP request: read.request.agent "support" as "nothing"' in said
    assert 'queue: reply: read.request_id "r-1" as "nothing"' in said
    assert {each.partition(": read")[0] for each in said} == {"HTTP request", "queue: reply"}


def test_everything_that_is_kept_or_sent_to_ourselves_is_read_again() -> None:
    """Or its reader could change unseen; Redis and what lies in S3 have keys and JSON that the samples compare."""
    kept = {name for name in written() if name.partition(":")[0] in {"queue", "requests table", "sessions table"}}
    elsewhere = {"queue: kept in S3", "requests table: piece"}
    assert kept - elsewhere <= set(read.asked())
    assert not [name for name, given in read.asked().items() if "fails" in str(read.read(name, given))]
    assert read.read("telegram", {}) == {"nothing reads": "telegram"}


def test_a_use_that_is_refused_is_no_longer_promised(capsys: pytest.CaptureFixture[str]) -> None:
    """And so breaks whoever uses it so; of a release before the use there was none."""

    def refused() -> set[str]:
        raise ValueError("fifo must be true")

    assert contract._promised(refused, "AgentQueue, fifo") is None
    assert capsys.readouterr().err == "not promised: AgentQueue, fifo: fifo must be true\n"


def test_every_construct_is_looked_at() -> None:
    """A new one too."""
    assert set(contract.parsed(TEXT)["constructs"]) == set(ak_constructs.__all__) - {"Authorization"}


def test_a_contract_is_written_as_it_was_read() -> None:
    """Each promise once, and none is lost."""
    uses = contract.expanded(contract.parsed(TEXT)["constructs"])
    plain = uses["AgentFunction"]["alone"]
    every = {construct: {use: lines | plain for use, lines in each.items()} for construct, each in uses.items()}
    every["AgentFunction"] = uses["AgentFunction"]
    assert contract.factored(every) == contract.parsed(TEXT)["constructs"]
    assert contract.written(contract.parsed(TEXT)) == TEXT


def copied(folder: Path, changes: dict[str, list[tuple[str, str]]]) -> Path:
    """Copy the package and its functions' code, with changes in some files."""
    for name in ("src", "lambda_assets"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file, pairs in changes.items():
        for path in folder.rglob(file) if "*" in file else [folder / file]:
            text = path.read_text(encoding="utf-8")
            for old, new in pairs:
                assert old in text or "*" in file, (file, old)
                text = text.replace(old, new)
            path.write_text(text, encoding="utf-8")
    return folder / "src" / "ak_constructs"


def test_a_public_name_or_argument_that_is_gone_is_found(tmp_path: Path) -> None:
    """Removed, renamed, made required, with another default; and what an agent's code sees."""
    changes = {
        "src/ak_constructs/session_store.py": [
            (
                "history_turns: int = DEFAULT_HISTORY_TURNS,\n        ttl: cdk.Duration = DEFAULT_TTL,\n        key",
                "key",
            ),
            ("port: int = REDIS_PORT", "port: int = 6380"),
            ("DEFAULT_TTL = cdk.Duration.days(30)", "DEFAULT_TTL = cdk.Duration.days(1)"),
            ("def attach(", "def attach_to("),
            ("MAX_HISTORY_TURNS = 100", "MOST_TURNS = 100"),
        ],
        "src/ak_constructs/keep_warm.py": [("concurrency: int = 1", "concurrency: int")],
        "src/ak_constructs/agent_api.py": [("rate_limit: int = DEFAULT_RATE_LIMIT,", "")],
        "src/ak_constructs/_rest_api.py": [("def ", "def _")],
        "lambda_assets/ak_lambda/agent_runner/turn.py": [("def remaining_ms", "def left_ms")],
        "lambda_assets/ak_lambda/shared/turns.py": [("def turn_key", "def key_of")],
    }
    already = set(compare.interface(WHEEL, contract.PACKAGE))
    said = {each.what for each in set(compare.interface(WHEEL, copied(tmp_path, changes))) - already}
    store = "interface: ak_constructs.session_store"
    assert said == {
        "interface: ak_constructs.agent_api.AgentApi.__init__: Parameter was removed: rate_limit",
        "interface: ak_constructs.keep_warm.KeepWarm.__init__: Parameter is now required: concurrency",
        f"{store}.DEFAULT_TTL: cdk.Duration.days(30) is now cdk.Duration.days(1)",
        *(
            f"{store}.SessionStore.{method}: Parameter was removed: {argument}"
            for method in ("__init__", "redis")
            for argument in ("history_turns", "ttl")
        ),
        f"{store}.SessionStore.attach: Public object was removed",
        f"{store}.SessionStore.from_redis: Parameter default was changed: port: REDIS_PORT is now 6380",
        "interface: ak_lambda.agent_runner.turn.Turn.remaining_ms: Public object was removed",
    }


GONE = Difference("AgentQueue: resource A AWS::SQS::Queue", "whom", "what to do")


@pytest.mark.parametrize(
    ("accepted", "said"),
    [
        ([], ["AgentQueue: resource A AWS::SQS::Queue\n    breaks: whom\n    remedy: what to do"]),
        ([{"what": GONE.what, "why": "w", "changelog": "Queues are new"}], []),
        ([{"what": "AgentQueue: resource * AWS::SQS::*", "why": "w", "changelog": "Queues are new"}], []),
        ([{"what": GONE.what, "why": "w", "changelog": "Nobody says so"}], ["accepted.toml must say why and a line"]),
        ([{"what": GONE.what, "changelog": "Queues are new"}], ["accepted.toml must say why and a line"]),
        (
            [{"what": each, "why": "w", "changelog": "Queues are new"} for each in (GONE.what, "AgentApi: gone")],
            ["accepted.toml must list only what breaks, got 'AgentApi: gone'"],
        ),
    ],
    ids=["not accepted", "accepted", "as a pattern", "not in the changelog", "without a reason", "in vain"],
)
def test_what_breaks_is_accepted_with_a_reason_and_a_word_to_users(accepted: compare.Accepted, said: list[str]) -> None:
    """And nothing is accepted in vain."""
    lines = list(compare.judged([GONE], accepted, "- Queues are new.\n"))
    assert [line[: len(start)] for line, start in zip(lines, said, strict=True)] == said


@pytest.mark.parametrize(
    ("before", "now", "allowed"),
    [
        ("0.1.0", "0.1.1", False),
        ("0.1.0", "0.2.0", True),
        ("0.1.0", "0.2.0.dev0", True),
        ("1.4.0", "1.5.0", False),
        ("1.4.0", "2.0.0", True),
        ("0.1.0.dev0", "0.1.0", True),
    ],
)
def test_what_breaks_needs_a_new_version(before: str, now: str, allowed: bool) -> None:
    """A minor one before 1.0, then a major one; what was never final may break."""
    accepted = [{"what": "w", "why": "y", "changelog": "c"}]
    assert (not list(compare.too_small(before, now, accepted))) is allowed
    assert not list(compare.too_small(before, now, []))


# The gate, which looks at what changes here alone: synthesizing everything takes three times as long.
CONSTRUCTS_ONLY = """
import sys
from scripts import compare, contract

promised = contract._promised
constructs = ("AgentFunction,", "AgentQueue,", "KeepWarm,", "VersionPruner,")
contract._promised = lambda find, use: promised(find, use) if use.startswith(constructs) else None
sys.exit(compare.main(sys.argv[1:]))
"""


def test_a_deliberate_change_makes_the_gate_fail(tmp_path: Path) -> None:
    """From sources with an id, a variable, a message's key, a status, a key of an item and a metric of other names."""
    changes = {
        "src/ak_constructs/agent_queue.py": [('"Requests",', '"Asked",')],
        "src/**/*.py": [("AK_CONSTRUCTS_KEEP_LATEST", "AK_CONSTRUCTS_KEEP"), ('"WarmEnvironments"', '"Warm"')],
        "lambda_assets/**/*.py": [("AK_CONSTRUCTS_KEEP_LATEST", "AK_CONSTRUCTS_KEEP")],
        "lambda_assets/ak_lambda/shared/messages.py": [('"status_code": str(', '"code": str(')],
        "lambda_assets/ak_lambda/request_handler/core.py": [("Answer(409", "Answer(400")],
        "lambda_assets/ak_lambda/shared/protocol.py": [
            ('item["pending_until"]', 'item["until"]'),
            ('"pending_until"', '"until"'),
        ],
        "lambda_assets/ak_lambda/shared/requests.py": [
            ('optional_string(payload, "agent")', 'optional_string(payload, "who")')
        ],
    }
    command = [sys.executable, "-c", CONSTRUCTS_ONLY, "--package", str(copied(tmp_path, changes))]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 1, ran.stderr
    for promise in (
        "AgentQueue: resource QueueRequests6FAC22F0 AWS::DynamoDB::GlobalTable",
        "VersionPruner: setting Pruner",
        "code: now needs version_pruner AK_CONSTRUCTS_KEEP",
        "KeepWarm: metric KeepWarm.metric_warm_environments AkConstructs/WarmEnvironments",
        "queue: reply: MessageAttributes.status_code 200",
        "HTTP: request id is taken: statusCode 409",
        "requests table: PENDING: pending_until number",
        "requests table: PENDING: read",
        'HTTP request: read.request.agent "support" as null',
    ):
        assert f"\n{promise}" in f"\n{ran.stdout}", promise
