"""Documentation is compared with the code."""

import http
import inspect
import re
import textwrap
from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_ssm as ssm

import ak_constructs
from ak_constructs import (
    _connections,
    _function,
    _instance_types,
    _limits,
    _pool_dashboard,
    _proof,
    _rest_api,
    _stage,
    agent_api,
    agent_function,
    agent_queue,
    authorization,
    keep_warm,
    queued_agent_pipeline,
    session_store,
    shared_capacity_provider,
    version_pruner,
    websocket_agent_api,
)
from ak_lambda.agent_runner import delta_rules, deltas
from ak_lambda.jwt_authorizer import core as jwt_core
from ak_lambda.jwt_authorizer import keys
from ak_lambda.jwt_authorizer import tokens as jwt_tokens
from ak_lambda.request_handler import core
from ak_lambda.response_handler import pushing as response_pushing
from ak_lambda.shared import connections, frames, heartbeat, payloads, pings, protocol, secret_rules, sockets, turns
from ak_lambda.version_pruner import core as pruner_core
from ak_lambda.version_pruner import pruning
from examples.websocket_chat import client as websocket_client
from scripts.api_md import API_MD, api_md
from test.support import statements

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RETENTION_DAYS = {"ONE_MONTH": 30}[_function.LOG_RETENTION.name]

# Every number in a public docstring, with what the code has to say about it. HTTP statuses need no entry.
NUMBERS: dict[str, dict[str, float]] = {
    "AgentApi": {
        "29": _limits.API_GATEWAY_INTEGRATION_TIMEOUT_SECONDS,
        "10": _limits.API_GATEWAY_PAYLOAD_MIB,
        "30": RETENTION_DAYS,
        "128": _rest_api.HEALTH_MEMORY_MIB,
        "900": _limits.LAMBDA_TIMEOUT_SECONDS,
        "1": 1,
        "100": _stage.DEFAULT_RATE_LIMIT,
        "4": agent_api.MAX_BODY_MIB,
    },
    "AgentFunction": {
        "30": RETENTION_DAYS,
        "128": _limits.LAMBDA_MEMORY_MIB[0],
        "10240": _limits.LAMBDA_MEMORY_MIB[1],
        "512": _limits.LAMBDA_STORAGE_MIB[0],
        "262": _limits.LAMBDA_UNZIPPED_BYTES // 1_000_000,
        "1024": agent_function.DEFAULT_MEMORY_MIB,
        "900": _limits.LAMBDA_TIMEOUT_SECONDS,
        "29": agent_function.DEFAULT_TIMEOUT.to_seconds(),
        "2048": _limits.LAMBDA_MANAGED_MEMORY_MIB[0],
        "32768": _limits.LAMBDA_MANAGED_MEMORY_MIB[1],
        "5400": _limits.LAMBDA_MANAGED_TIMEOUT_SECONDS,
        "5": secret_rules.REFRESH_SECONDS / 60,
        "10": secret_rules.BETWEEN_TRIES_SECONDS,
    },
    "AgentQueue": {
        "60": protocol.LEASE_SECONDS,
        "20": heartbeat.EVERY_SECONDS,
        "1": protocol.backoff_seconds(1),
        "2": protocol.backoff_seconds(2),
        "4": protocol.backoff_seconds(3),
        "8": protocol.backoff_seconds(4),
        "14": agent_queue.DEAD_LETTER_RETENTION.to_days(),
        "5400": _limits.LAMBDA_MANAGED_TIMEOUT_SECONDS,
        "700": payloads.MAX_MESSAGE_BYTES // 1024,
        "300": payloads.MAX_ITEM_BYTES // 1024,
        "256": agent_queue.HANDLER_MEMORY_MIB,
        "5": agent_queue.DEFAULT_MAX_RECEIVE_COUNT,
        "1000": _limits.LAMBDA_SQS_CONCURRENCY[1],
        "100": agent_queue.REPLY_MAX_RECEIVE_COUNT,
    },
    "Authorization": {},
    "KeepWarm": {
        "1769": keep_warm.WARMER_MEMORY_MIB,
        "15": keep_warm.MAX_TARGETS,
        "100": keep_warm.MAX_PINGS,
        "1": 1,
        "5": keep_warm.DEFAULT_MINUTES,
        "5000": pings.MAX_HOLD_MS,
        "500": keep_warm.DEFAULT_HOLD.to_milliseconds(),
    },
    "QueuedAgentPipeline": {
        "5": payloads.MAX_INLINE_BYTES // 1024**2,
        "300": payloads.LINK_SECONDS,
        "1": core.MARGIN_MS // 1000,
        "29": core.GATEWAY_MS / 1000,
        "40": core.FIRST_STEP_MS,
        "4": core.STEP_SHARE * 1000 // 10,
        "10": 10,
        "256": queued_agent_pipeline.REQUEST_HANDLER_MEMORY_MIB,
        "30": queued_agent_pipeline.REQUEST_HANDLER_TIMEOUT.to_seconds(),
        "100": _stage.DEFAULT_RATE_LIMIT,
    },
    "WebSocketAgentApi": {
        "32000": frames.MAX_FRAME_BYTES,
        "32": _limits.API_GATEWAY_WEBSOCKET_FRAME_BYTES / 1024,
        "29": _limits.API_GATEWAY_WEBSOCKET_INTEGRATION_TIMEOUT_SECONDS,
        "10": _limits.API_GATEWAY_WEBSOCKET_IDLE_SECONDS / 60,
        "2": _limits.API_GATEWAY_WEBSOCKET_CONNECTION_SECONDS / 3600,
        "110": sockets.RECONNECT_MS / 60_000,
        "128": _limits.API_GATEWAY_WEBSOCKET_MESSAGE_BYTES / 1024,
        "1009": 1009,
        "0": 0,
        "30": RETENTION_DAYS,
        "256": websocket_agent_api.HANDLER_MEMORY_MIB,
        "250": connections.MAX_CONNECTIONS,
        "1": 1,
        "100": _stage.DEFAULT_RATE_LIMIT,
    },
    "SessionStore": {
        "100": session_store.MAX_HISTORY_TURNS,
        "32": turns.MAX_TEXT_BYTES / 1000,
        "60": session_store.MIN_TTL_SECONDS,
        "1": 1,
        "5": session_store.DEFAULT_HISTORY_TURNS,
        "30": session_store.DEFAULT_TTL.to_days(),
    },
    "VersionPruner": {
        "100": _limits.CAPACITY_PROVIDER_VERSIONS,
        "500": version_pruner.MAX_DELETIONS,
        "512": version_pruner.MEMORY_MIB,
        "15": _limits.LAMBDA_TIMEOUT_SECONDS / 60,
        "80": version_pruner.CODE_STORAGE_ALARM_PERCENT,
        "2022": 2022,
        "50": version_pruner.MAX_FUNCTIONS,
        "2": version_pruner.MIN_KEEP_LATEST,
        "3": version_pruner.DEFAULT_KEEP_LATEST,
        "1": version_pruner.MIN_AGE_SECONDS / 3600,
    },
    "SharedCapacityProvider": {
        "64": shared_capacity_provider.DEFAULT_MAX_VCPU_COUNT,
        "3": _limits.LAMBDA_MANAGED_DEFAULT_ENVIRONMENTS,
        "900": _limits.LAMBDA_TIMEOUT_SECONDS,
        "5400": _limits.LAMBDA_MANAGED_TIMEOUT_SECONDS,
        "5": _instance_types.LEAST_GENERATION,
        "206": round(shared_capacity_provider.IDLE_DOLLARS),
        "15": _limits.LAMBDA_MANAGED_FEE_PERCENT,
        "100": _limits.CAPACITY_PROVIDER_VERSIONS,
        "50": _limits.CAPACITY_PROVIDER_VERSIONS / 2,
        "80": _pool_dashboard.CPU_PERCENT,
        "90": _pool_dashboard.MEMORY_PERCENT,
        "1": _limits.CAPACITY_PROVIDER_SUBNETS[0],
        "16": _limits.CAPACITY_PROVIDER_SUBNETS[1],
        "40": _limits.CAPACITY_PROVIDER_TAGS,
    },
}
# Of the README's chapter and of the documents that it leads to.
WEBSOCKET_NUMBERS: dict[str, float] = {
    "2": _limits.API_GATEWAY_WEBSOCKET_CONNECTION_SECONDS / 3600,
    "32": _limits.API_GATEWAY_WEBSOCKET_FRAME_BYTES / 1024,
    "128": _limits.API_GATEWAY_WEBSOCKET_MESSAGE_BYTES / 1024,
    "1009": 1009,
    "32000": frames.MAX_FRAME_BYTES,
    "0": 0,
    "1": frames.MAX_PUSHED_BYTES / 1024**2,
    "300": payloads.LINK_SECONDS,
    "500": delta_rules.MAX_KEPT_FRAMES,
    "512": delta_rules.MAX_KEPT_BYTES / 1024,
    "16": deltas.MAX_CONNECTIONS,
    "250": connections.MAX_CONNECTIONS,
    "5": websocket_client.QUIET_SECONDS / 60,
    "10": _limits.API_GATEWAY_WEBSOCKET_IDLE_SECONDS / 60,
    "110": sockets.RECONNECT_MS / 60_000,
    "150": delta_rules.CUT_SECONDS * 1000,
    "8000": delta_rules.CUT_BYTES,
    "3": response_pushing.MOST_TRIES,
}
STATUSES = {str(status.value) for status in http.HTTPStatus}


@pytest.mark.parametrize("name", ak_constructs.__all__)
def test_numbers_in_a_docstring_are_those_of_the_code(name: str) -> None:
    """A number that no constant holds must not be written."""
    text = inspect.getdoc(getattr(ak_constructs, name)) or ""
    text = re.sub(r"https?://\S+|`[^`]*`|Python 3\.\d+|arm64|boto3|SigV4|S3", "", text)
    written = set(re.findall(r"\d+", text))
    assert written - STATUSES <= set(NUMBERS[name]), "a number that no constant holds"
    assert set(NUMBERS[name]) <= written, "an entry for a number that is not written"
    assert {number: float(number) for number in NUMBERS[name]} == NUMBERS[name]


def test_numbers_about_websockets_are_those_of_the_code() -> None:
    """In prose too."""
    chapter = README.partition("## Answers, text and progress, pushed")[2].partition("\n## ")[0]
    files = (ROOT / "docs" / "websocket.md", ROOT / "docs" / "decisions" / "0011-deltas-are-hints.md")
    text = "\n".join([chapter, *(path.read_text(encoding="utf-8") for path in files)])
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    text = re.sub(r"\]\([^)]*\)|`[^`]*`|\[decision \d+|^# \d+|^\d+\. |SigV4|S3", "", text, flags=re.MULTILINE)
    written = set(re.findall(r"\d+", re.sub(r"(?<=\d),(?=\d{3})", "", text)))
    assert written - STATUSES == set(WEBSOCKET_NUMBERS) - STATUSES
    assert {number: float(number) for number in WEBSOCKET_NUMBERS} == WEBSOCKET_NUMBERS


def test_api_md_is_up_to_date() -> None:
    """It is written from signatures and docstrings."""
    assert API_MD.read_text(encoding="utf-8") == api_md()


def python_blocks(text: str) -> list[str]:
    """Give the Python code of a Markdown text or a docstring."""
    return [textwrap.dedent(block) for block in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)]


@pytest.mark.parametrize("name", ak_constructs.__all__)
def test_the_example_in_a_docstring_runs(name: str, stack: cdk.Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stack at hand and the public names imported."""
    monkeypatch.chdir(ROOT)
    blocks = python_blocks(inspect.getdoc(getattr(ak_constructs, name)) or "")
    assert blocks
    names = {public: getattr(ak_constructs, public) for public in ak_constructs.__all__}
    for block in blocks:
        exec(block, {"cdk": cdk, "ec2": ec2, "iam": iam, "stack": stack, **names})  # noqa: S102 - our own documentation


def test_the_readmes_python_runs(stack: cdk.Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a folder that has what the README tells the reader to write."""
    blocks = python_blocks(README)
    agents = [block for block in blocks if "def respond(turn)" in block]
    apps = [block for block in blocks if "cdk.App()" in block]
    assert len(agents) == 1
    assert len(apps) == 1
    (tmp_path / "agents" / "support").mkdir(parents=True)
    (tmp_path / "agents" / "support" / "agent.py").write_text(agents[0], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    exec(apps[0], names)  # noqa: S102 - our own documentation
    names["stack"] = stack  # the app has been synthesized
    for block in blocks[blocks.index(apps[0]) + 1 :]:
        exec(block, names)  # noqa: S102


def test_the_readme_names_every_construct_and_only_files_that_exist() -> None:
    """A link that leads nowhere is worse than none."""
    for name in ak_constructs.__all__:
        assert f"`{name}`" in README
    for document in [ROOT / "README.md", ROOT / "SECURITY.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!http|#)([^)#]+)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{target} in {document.name}"


def test_every_promise_names_a_test_that_is_there() -> None:
    """Who renames one looks at what was promised."""
    promises = (
        (ROOT / "SECURITY.md").read_text(encoding="utf-8").partition("## What is promised")[2].partition("## ")[0]
    )
    rows = [row.split(" | ") for row in promises.splitlines() if row.startswith("| ")][1:]
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "test").rglob("test_*.py"))
    assert len(rows) > 5
    for promise, held_by in rows:
        names = re.findall(r"`(test_\w+)`", held_by)
        assert names, promise
        assert all(f"def {name}(" in tests for name in names), held_by


def test_the_readme_is_short_enough_to_be_read() -> None:
    """Details belong in API.md."""
    assert len(README.splitlines()) <= 250


def test_the_actions_in_a_docstring_are_those_of_the_template(stack: cdk.Stack) -> None:
    """A reviewer reads the one and AWS the other."""
    written = set(re.findall(r"`([a-z0-9-]+:[A-Z]\w+)`", inspect.getdoc(ak_constructs.AgentFunction) or ""))
    vpc = ec2.Vpc(stack, "Vpc", max_azs=1)
    secret = secretsmanager.Secret(stack, "Secret", encryption_key=kms.Key(stack, "Key"))
    parameter = ssm.StringParameter.from_secure_string_parameter_attributes(stack, "Parameter", parameter_name="/token")
    ak_constructs.AgentFunction(
        stack,
        "Agent",
        entry=ROOT / "examples/chat_api/agent",
        vpc=vpc,
        secrets={"KEY": secret, "TOKEN": parameter},
    )
    granted = {action for actions, _ in statements(stack, "AgentRole") for action in actions}
    assert written == granted


def test_a_session_stores_docstring_says_what_the_code_keeps() -> None:
    """Where one number stands for two things, each is held."""
    text = inspect.getdoc(ak_constructs.SessionStore) or ""
    assert f"up to {turns.MAX_HISTORY_BYTES // 1000} kB" in text
    assert f"owner {turns.OWNER_MARGIN_SECONDS // turns.DAY_SECONDS} days later" in " ".join(text.split())


def test_a_pipelines_docstring_says_what_the_code_does() -> None:
    """Where a number has a fraction."""
    text = " ".join((inspect.getdoc(ak_constructs.QueuedAgentPipeline) or "").split())
    assert f"ends {core.MARGIN_MS / 1000:g} s before API Gateway hangs up at {core.GATEWAY_MS / 1000:g} s" in text
    assert f"steps of {core.FIRST_STEP_MS} ms, later of {core.STEP_SHARE * 100:g} % of the time waited" in text
    queue = inspect.getdoc(ak_constructs.AgentQueue) or ""
    assert "2 to 1000" in queue
    assert _limits.LAMBDA_SQS_CONCURRENCY == (2, 1000)
    assert agent_queue.DEFAULT_RETENTION.to_days() == 4
    assert "Defaults to 4 days" in queue


def test_a_websocket_apis_docstring_says_what_the_code_does() -> None:
    """And the code keeps to what API Gateway allows."""
    text = " ".join((inspect.getdoc(ak_constructs.WebSocketAgentApi) or "").split())
    assert frames.MAX_FRAME_BYTES <= _limits.API_GATEWAY_WEBSOCKET_FRAME_BYTES
    assert (
        f"({websocket_agent_api.HANDLER_MEMORY_MIB} MiB, {websocket_agent_api.HANDLER_TIMEOUT.to_seconds():g} s)"
        in text
    )
    assert connections.CONNECTION_SECONDS == _limits.API_GATEWAY_WEBSOCKET_CONNECTION_SECONDS
    assert sockets.RECONNECT_MS < 1000 * _limits.API_GATEWAY_WEBSOCKET_CONNECTION_SECONDS
    assert connections.INDEX == _connections.INDEX


def test_the_docstring_of_jwt_says_what_the_function_does() -> None:
    """A factory has numbers too."""
    text = " ".join((inspect.getdoc(ak_constructs.Authorization.jwt) or "").split())
    for said in (
        f"RSA from {jwt_tokens.MIN_RSA_BITS} bits",
        f"with {jwt_tokens.LEEWAY_SECONDS} s for clocks that differ",
        f"read again after {keys.FRESH_SECONDS // 60} minutes",
        f"at most every {keys.REFETCH_SECONDS} s",
        f"go on for {keys.KEPT_SECONDS // 3600} hours",
        f"left out over {jwt_core.MAX_CLAIMS_BYTES // 1024} KiB",
        f"at most {jwt_core.MAX_USER_ID_BYTES} bytes",
        f"at most {_proof.MAX_CACHE_SECONDS} s",
        f"Defaults to {authorization.DEFAULT_JWT_CACHE.to_seconds():g} s",
    ):
        assert said in text, said
    bits_of = {"RSA", "EC", "Ed25519"}
    assert {kind if kind != "OKP" else str(curve) for kind, curve in jwt_tokens.ALGORITHMS} == bits_of


@pytest.mark.parametrize("name", ["AgentQueue", "QueuedAgentPipeline"])
def test_the_actions_in_a_queues_docstring_are_those_of_the_template(stack: cdk.Stack, name: str) -> None:
    """Of its own functions; the session store's are in its own."""
    written = set(re.findall(r"`([a-z0-9-]+:[A-Z]\w+)`", inspect.getdoc(getattr(ak_constructs, name)) or ""))
    agent = ak_constructs.AgentFunction(stack, "Agent", entry=ROOT / "examples/chat_api/agent")
    pipeline = ak_constructs.QueuedAgentPipeline(stack, "Pipeline", agent=agent, key=kms.Key(stack, "Key"))
    pipeline.queue.add_reply_handler(pipeline.health_function)
    handlers = ("DeadLetterHandler", "ResponseHandler", "Redrive")
    roles = [f"PipelineQueue{each}" for each in handlers] if name == "AgentQueue" else ["PipelineRequestHandler"]
    granted = {action for role in roles for actions, _ in statements(stack, role) for action in actions}
    theirs = {"logs:CreateLogStream", "logs:PutLogEvents", "xray:PutTraceSegments", "xray:PutTelemetryRecords"}
    objects = {"s3:GetObject"} if name == "AgentQueue" else set()  # the agent's own
    assert written == granted - theirs | objects


def test_the_actions_in_a_websocket_apis_docstring_are_those_of_the_template(stack: cdk.Stack) -> None:
    """Those about connections, and what the response handler has more than without one in front."""
    written = set(re.findall(r"`([a-z0-9-]+:[A-Z]\w+)`", inspect.getdoc(ak_constructs.WebSocketAgentApi) or ""))
    entry = ROOT / "examples/chat_api/agent"
    alone, behind = (
        ak_constructs.AgentQueue(
            stack, id_, agent=ak_constructs.AgentFunction(stack, f"{id_}Agent", entry=entry, handler="agent.respond")
        )
        for id_ in ("Alone", "Behind")
    )
    callers = ak_constructs.Authorization.iam()
    ak_constructs.WebSocketAgentApi(stack, "Chat", agent=behind, authorization=callers, mode="stream")
    granted = {
        action
        for role in ("ChatConnectionHandlerRole", "ChatMessageHandlerRole", "BehindResponseHandlerRole")
        for actions, resource in statements(stack, role)
        for action in actions
        if "Connections" in str(resource) or "@connections" in str(resource)
    }
    of_response_handler = [
        {action for actions, _ in statements(stack, f"{queue.node.id}ResponseHandlerRole") for action in actions}
        for queue in (alone, behind)
    ]
    assert written == granted | (of_response_handler[1] - of_response_handler[0])


@pytest.mark.parametrize(
    ("name", "roles"),
    [
        ("KeepWarm", ["WarmWarmerRole", "WarmScheduleRole"]),
        ("SessionStore", ["AgentRole", "OwnRole", "CachedRole", "SecretRole"]),
        ("SharedCapacityProvider", ["PoolVersionCounterRole", "PoolCountVersions", "Pooled", "PoolOperatorRole"]),
    ],
)
def test_the_actions_in_a_docstring_are_those_of_the_roles(stack: cdk.Stack, name: str, roles: list[str]) -> None:
    """Beyond what `AgentFunction` says of each function's role."""
    entry = ROOT / "examples/chat_api/agent"
    vpc = ec2.Vpc(stack, "Vpc", max_azs=1)
    agent = ak_constructs.AgentFunction(stack, "Agent", entry=entry)
    if name == "KeepWarm":
        ak_constructs.KeepWarm(stack, "Warm", targets=[agent])
    elif name == "SessionStore":
        own = ak_constructs.AgentFunction(stack, "Own", entry=entry, handler="agent.respond")
        ak_constructs.SessionStore(stack, "Sessions", key=kms.Key(stack, "Key")).attach(agent)
        ak_constructs.SessionStore(stack, "Others").attach(own)
        cached = ak_constructs.AgentFunction(stack, "Cached", entry=entry, vpc=vpc)
        ak_constructs.SessionStore.redis(stack, "Cache", vpc=vpc).attach(cached)
        with_secret = ak_constructs.AgentFunction(stack, "Secret", entry=entry)
        secret = secretsmanager.Secret(stack, "Password", encryption_key=kms.Key(stack, "PasswordKey"))
        ak_constructs.SessionStore.from_redis(stack, "Theirs", host="redis.example.com", secret=secret).attach(
            with_secret
        )
    else:
        pool = ak_constructs.SharedCapacityProvider(stack, "Pool", vpc=vpc)
        pooled = ak_constructs.AgentFunction(stack, "Pooled", entry=entry, memory_size=4096)
        live = pool.add_function(pooled, memory_gib_per_vcpu=4, max_concurrency=4)
        hourly = scheduler.ScheduleExpression.rate(cdk.Duration.hours(1))
        pool.add_environments_schedule(
            "Often", alias=live, schedule=hourly, min_execution_environments=3, max_execution_environments=4
        )
    of_every_function = {"xray:PutTraceSegments", "xray:PutTelemetryRecords", *_function.NETWORK_ACTIONS}
    if name != "SharedCapacityProvider":
        of_every_function |= {"logs:CreateLogStream", "logs:PutLogEvents"}
    written = set(re.findall(r"`([a-z0-9-]+:[A-Z]\w+)`", inspect.getdoc(getattr(ak_constructs, name)) or ""))
    granted = {action for role in roles for actions, _ in statements(stack, role) for action in actions}
    assert written == granted - of_every_function


def test_a_version_pruners_docstring_says_what_the_code_does(stack: cdk.Stack) -> None:
    """Where one number stands for two things, and each permission of each scope."""
    text = inspect.getdoc(ak_constructs.VersionPruner) or ""
    assert version_pruner.DEFAULT_MIN_AGE.to_days() == 1
    assert "1 hour or more. Defaults to 1 day" in text
    assert (version_pruner.MIN_KEEP_LATEST, version_pruner.MIN_AGE_SECONDS) == (
        pruner_core.MIN_KEEP_LATEST,
        pruner_core.MIN_AGE_SECONDS,
    )
    assert version_pruner.NO_CURSOR == pruning.BEGINNING
    pool = lambda_.CapacityProvider.from_capacity_provider_name(stack, "Pool", "pool")
    pruner = ak_constructs.VersionPruner(stack, "OfPool", capacity_provider=pool, dry_run=False)
    ak_constructs.VersionPruner(stack, "OfTags", tags={"team": "agents"})
    pruner.add_report_bucket(s3.Bucket(stack, "Bucket", encryption=s3.BucketEncryption.KMS))
    written = set(re.findall(r"`([a-z0-9-]+:[A-Z]\w+)`", text))
    granted = {action for role in ("OfPool", "OfTags") for actions, _ in statements(stack, role) for action in actions}
    theirs = {"logs:CreateLogStream", "logs:PutLogEvents", "xray:PutTraceSegments", "xray:PutTelemetryRecords"}
    assert written == granted - theirs - {"lambda:InvokeFunction"}


def test_every_limit_has_a_source_and_a_date() -> None:
    """So that the next reader can look it up again."""
    source = inspect.getsource(_limits)
    names = [name for name in vars(_limits) if name.isupper()]
    assert names
    for name in names:
        documented = re.search(rf'^{name}: Final = .*\n"""(.*?)"""', source, flags=re.MULTILINE | re.DOTALL)
        assert documented, name
        assert "https://docs.aws.amazon.com/" in documented[1], name
        assert re.search(r"Read \d{4}-\d\d-\d\d", documented[1]), name
