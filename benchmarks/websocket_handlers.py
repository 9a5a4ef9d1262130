"""Measures a WebSocket API's handlers beside Agent Kernel's, and writes their part of docs/benchmarks.md.

    uv run python -m benchmarks.websocket_handlers

Who connects is kept in a table, and an answer is pushed to one connection. DynamoDB and API Gateway are a server on
loopback that answers every call at once, so that what is measured is the handlers'.
"""

import contextlib
import datetime as dt
import json
import os
import platform
import shutil
import ssl
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.bench import AGENT_KERNEL, ROOT, Bench, beside_agent_kernel, zipped
from benchmarks.document import write
from benchmarks.processes import Side, Spread, at_least, at_most, compare, figure, ratio
from test.issuer import Issuers

SIDES = ("ours", "agentkernel")
ROLES = ("connection handler", "response handler")
TABLE = "connections"
ROW = {
    "user_id": {"S": "alice"},
    "connection_id": {"S": "c-1"},
    "connected_at": {"N": "1780000000"},
    "expiry_time": {"N": "4000000000"},
}
ITEM = {
    "request_id": {"S": "r-1"},
    "session_id": {"S": "s-1"},
    "user_id": {"S": "alice"},
    "status": {"S": "DONE"},
    "status_code": {"N": "200"},
    "answer": {"S": '{"result": "hello", "session_id": "s-1"}'},
    "answered_by": {"S": "m-1"},
    "attempt": {"N": "1"},
    "redrives": {"N": "0"},
    "created_at": {"N": "1780000000000"},
    "expiry_time": {"N": "4000000000"},
}
IMPORTS = {
    ("ours", "connection handler"): "from ak_lambda.connection_handler.handler import handler\n",
    ("ours", "response handler"): "from ak_lambda.response_handler.handler import handler\n",
    ("agentkernel", "connection handler"): "from lambda_connection_handler import handler\n",
    ("agentkernel", "response handler"): "from lambda_response_handler import handler\n",
}
# As its documentation has it, with a validator that looks nothing up: none could be cheaper.
CONNECTION_HANDLER = """
from agentkernel.auth import AuthValidator, ValidationResult
from agentkernel.aws import WebsocketConnectionHandler

class Validator(AuthValidator):
    def validate(self, token, context=None):
        return ValidationResult(is_valid=True, subject="alice", claims={"userId": "alice"})

handler = WebsocketConnectionHandler.set_auth_validator(Validator()).handler
"""
EVENTS = {
    "connection handler": """
context = {"routeKey": "$connect", "eventType": "CONNECT", "connectionId": "c-1", "connectedAt": 1780000000000}
context |= {"domainName": "api1.execute-api.us-east-1.amazonaws.com", "stage": "prod", "apiId": "api1"}
context["authorizer"] = {"principalId": "alice", "user_id": "alice"}
event = {"requestContext": context, "headers": {}, "queryStringParameters": {"token": "x"}, "isBase64Encoded": False}
response = handler(event, None)
assert response["statusCode"] == 200, response
""",
    "response handler": """
import json, os
texts = {"request_id": "r-1", "user_id": "alice", "status_code": "200", "endpoint_url": os.environ["ENDPOINT"]}
record = {
    "eventSource": "aws:sqs",
    "messageId": "m-1",
    "receiptHandle": "m-1",
    "body": json.dumps({"result": "hello", "session_id": "s-1"}),
    "attributes": {"ApproximateReceiveCount": "1", "MessageGroupId": "s-1", "MessageDeduplicationId": "r-1"},
    "messageAttributes": {each: {"stringValue": text, "dataType": "String"} for each, text in texts.items()},
}
response = handler({"Records": [record]}, None)
assert response == {"batchItemFailures": []}, response
""",
}


class Cloud(ThreadingHTTPServer):
    """DynamoDB and API Gateway, as far as the handlers ask them.

    Attributes:
        asked: How often each operation was called.
    """

    daemon_threads = True

    def __init__(self, certificate: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.asked: Counter[str] = Counter()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"https://127.0.0.1:{self.server_address[1]}"

    def answer(self, operation: str) -> object:
        """Answer a call."""
        self.asked[operation] += 1
        row = {**ROW, "endpoint": {"S": f"{self.url}/prod"}}
        return {"Query": {"Items": [row], "Count": 1}, "UpdateItem": {"Attributes": ITEM}}.get(operation, {})


class _Answers(BaseHTTPRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(OSError):
            super().handle()

    def do_POST(self) -> None:
        cloud: Cloud = self.server  # type: ignore[assignment]
        self.rfile.read(int(self.headers["Content-Length"]))
        operation = self.headers.get("X-Amz-Target", "PostToConnection").rpartition(".")[2]
        body = json.dumps(cloud.answer(operation)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Print nothing."""


@contextlib.contextmanager
def clouds(work: Path) -> Iterator[tuple[Cloud, Path]]:
    """Serve until the end of the block, and give the server and who vouches for it."""
    with Issuers(work).running() as issuers:
        cloud = Cloud(work / "server.pem")
        thread = threading.Thread(target=cloud.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield cloud, issuers.authority
        finally:
            cloud.shutdown()
            cloud.server_close()
            thread.join(5)


def variables(cloud: Cloud, authority: Path) -> dict[str, str]:
    """Give what the functions of both sides are told."""
    endpoint = f"{cloud.url}/prod"
    return {
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": cloud.url,
        "AWS_CA_BUNDLE": str(authority),
        "ENDPOINT": endpoint,
        "AK_CONSTRUCTS_CALLBACK_URL": endpoint,
        "AK_CONSTRUCTS_CHAT_ROUTE": "chat",
        "AK_CONSTRUCTS_CONNECTIONS_TABLE": TABLE,
        "AK_CONSTRUCTS_IDENTITY": "lambda:user_id",
        "AK_CONSTRUCTS_PAYLOADS_BUCKET": "payloads",
        "AK_CONSTRUCTS_REPLY_QUEUE_URL": "https://queue/replies.fifo",
        "AK_CONSTRUCTS_REQUESTS_TABLE": "requests",
        "AK_CONSTRUCTS_RETENTION_SECONDS": "345600",
        "AK_EXECUTION__MODE": "async",
        "AK_EXECUTION__QUEUES__INPUT__URL": "https://queue/input.fifo",
        "AK_EXECUTION__QUEUES__OUTPUT__URL": "https://queue/output.fifo",
        "AK_EXECUTION__QUEUES__TYPE": "sqs",
        "AK_SESSION__TYPE": "in_memory",
        "AK_WEBSOCKET_API__CHAT_ROUTE": "chat",
        "AK_WEBSOCKET_API__CONNECTION_TABLE__TABLE_NAME": TABLE,
    }


class Sides:
    """Both packages, as they ship and with bytecode."""

    def __init__(self, bench: Bench, told: dict[str, str]) -> None:
        self._bench, self._told = bench, told
        ignored = shutil.ignore_patterns("__pycache__", "requirements*", "*_layer")
        self._compiled = {name: bench.work / name for name in SIDES}
        shutil.copytree(ROOT / "lambda_assets", self._compiled["ours"], ignore=ignored)
        shutil.copytree(ROOT / "test/local/agentkernel_queue", self._compiled["agentkernel"], ignore=ignored)
        (self._compiled["agentkernel"] / "lambda_connection_handler.py").write_text(
            CONNECTION_HANDLER, encoding="utf-8"
        )
        self.shipped = {name: bench.work / f"{name}-shipped" for name in SIDES}
        for name in SIDES:
            shutil.copytree(self._compiled[name], self.shipped[name])
            subprocess.run([bench.python, "-m", "compileall", "-q", str(self._compiled[name])], check=True)
        bench.install(self.shipped["agentkernel"], AGENT_KERNEL)

    def side(self, name: str, code: str, *, bytecode: bool = True) -> Side:
        """Give a process that runs code over a package."""
        folder = (self._compiled if bytecode else self.shipped)[name]
        environment = self._bench.environment(path=folder, bytecode=bytecode, **self._told)
        return Side(command=[self._bench.python, "-c", code], environment=environment, cwd=self._compiled[name])


def starts(sides: Sides, runs: int) -> dict[str, Spread]:
    """Start a fresh interpreter that imports a handler, and one that also handles an event."""
    found = {}
    for (name, role), code in IMPORTS.items():
        found[f"{name} {role}, import"] = sides.side(name, code)
        found[f"{name} {role}, import and first event"] = sides.side(name, code + EVENTS[role])
        found[f"{name} {role}, the same, as it ships (1)"] = sides.side(name, code + EVENTS[role], bytecode=False)
    return compare(found, runs)


def rows(started: dict[str, Spread], sizes: dict[str, int]) -> Iterator[tuple[str, ...]]:
    """Put each measurement beside the other side's, with the goal."""
    for role in ROLES:
        for what, goal in (("import", 0.6), ("import and first event", 0.6), ("the same, as it ships (1)", None)):
            ours, theirs = (started[f"{name} {role}, {what}"].cpu for name in SIDES)
            times = ratio(ours, theirs)
            met = at_most(times, goal) if goal else ""
            yield f"{role}, {what}", figure(ours, "ms", 1000), figure(theirs, "ms", 1000), f"{times:.2f} x", met
        ours, theirs = (started[f"{name} {role}, import and first event"].memory for name in SIDES)
        times = ratio(ours, theirs)
        yield (
            f"{role}, memory at its peak",
            figure(ours, "MiB"),
            figure(theirs, "MiB"),
            f"{times:.2f} x",
            at_most(times, 0.75),
        )
    times = sizes["agentkernel"] / sizes["ours"]
    small, large = f"{sizes['ours'] / 1e3:.1f} kB for all", f"{sizes['agentkernel'] / 1e6:.1f} MB each"
    yield "zip of the handlers", small, large, f"{times:,.0f} x smaller", at_least(times, 100)


def report(bench: Bench, runs: int) -> str:
    """Measure everything and write it down."""
    with clouds(bench.work) as (cloud, authority):
        sides = Sides(bench, variables(cloud, authority))
        started = starts(sides, runs)
        if cloud.asked["PostToConnection"] != 4 * (runs + 1) or cloud.asked["PutItem"] != 4 * (runs + 1):
            raise RuntimeError(f"not everybody connected, or got an answer: {cloud.asked}")
    sizes = {name: zipped(sides.shipped[name], bench.work / f"{name}-websocket.zip") for name in SIDES}
    return TEXT.format(
        date=f"{dt.datetime.now(dt.UTC):%Y-%m-%d}",
        machine=f"{platform.system()} on {os.cpu_count()} cores of {platform.machine()}",
        versions=bench.versions(),
        runs=runs,
        rows="\n".join(f"| {' | '.join(row)} |" for row in rows(started, sizes)),
    )


TEXT = """## The WebSocket API's handlers

Written by `uv run python -m benchmarks.websocket_handlers` on {date}: {versions}; {machine}.
CPU time and memory of whole processes in turn, {runs} runs each after one uncounted; medians with minimum and maximum.
Agent Kernel's side is its `WebsocketConnectionHandler`, with a validator that takes any token, and its
`ResponseHandler` in its `async` mode. An event is one `$connect`, whose user is kept in a table, or one reply, which is
pushed to the user's one connection; ours also makes it the request's one answer in the requests table. DynamoDB and API
Gateway are a server on loopback, by HTTPS, that answers at once. With bytecode and the same boto3 on both sides.

| what | ours | Agent Kernel | ratio | goal |
|---|---|---|---|---|
{rows}

Our tokens are verified by the authorizer's function, which is measured above; Agent Kernel verifies in this handler.
Our import makes boto3's clients, in the init phase with its full CPU; Agent Kernel makes them at the first event, so
that the second line of each handler is the fair one.
(1) Without bytecode, as Lambda finds a zip; Agent Kernel's brings its own boto3.
"""


if __name__ == "__main__":
    write(lambda runs: beside_agent_kernel(report, runs), __doc__)
