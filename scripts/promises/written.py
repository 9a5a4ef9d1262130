"""What our functions write where others read it: tables, queues, sockets, callers; found by running their pure code.

Each line is a member and its type, or its value where that is a word of the protocol: `body.prompt string`.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any
from unittest import mock

from ak_lambda.agent_runner import core as runner
from ak_lambda.dead_letter_handler.dead_letters import DeadLetters
from ak_lambda.health import handler as health
from ak_lambda.jwt_authorizer import core as authorizer
from ak_lambda.keep_warm import core as warming
from ak_lambda.request_handler import core as pipeline
from ak_lambda.response_handler import replies
from ak_lambda.shared import answers, frames, messages, metrics, protocol, turns
from ak_lambda.shared.connections import Connection, Connections
from ak_lambda.shared.fields import RefusedError
from ak_lambda.shared.payloads import ANSWERS, REQUESTS, Payloads
from ak_lambda.shared.pings import Environment
from ak_lambda.shared.queues import Queue
from ak_lambda.shared.requests import Request
from ak_lambda.shared.sessions import TableSessions
from ak_lambda.version_pruner import core as pruning

WORDS = {"type", "status", "status_code", "statusCode", "Namespace"}  # whose values readers compare
NOW = 1_780_000_000
KEPT: dict[str, Any] = {"now": NOW, "retention": 345_600}
WHO: dict[str, Any] = {"session_id": "s-1", "user_id": "alice"}
REQUEST = Request("Hello", "s-1", "r-1", "alice", "support", {"images": ["i"], "note": "n"})
EVENT = {"resource": "/api/v1/chat", "stageVariables": {"akConstructsIdentity": "iam"}}


def written() -> dict[str, Any]:
    """Give everything that is written, by name, as it is written."""
    items, sent, answered, frames_ = dict(_items()), dict(_sent()), dict(_answers()), dict(_frames())
    return {
        **{f"requests table: {name}": item for name, item in items.items()},
        **{f"queue: {name}": message for name, message in sent.items()},
        **{f"HTTP: {name}": answer for name, answer in answered.items()},
        **{f"WebSocket: {name}": frame for name, frame in frames_.items()},
        **dict(_stored()),
        **dict(_told()),
    }


def lines(value: object, path: str = "") -> Iterator[str]:
    """Give a line for each member of a value."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from lines(each, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from lines(each, f"{path}[]")
    elif path.rpartition(".")[2] in WORDS:
        yield f"{path} {value}"
    else:
        kinds = {bool: "boolean", int: "number", float: "number", str: "string", type(None): "null"}
        yield f"{path} {kinds[type(value)]}"


def _items() -> Iterator[tuple[str, Mapping[str, Any]]]:
    item = dict(protocol.submit(request_id="r-1", body_hash="0", now_ms=NOW * 1000, retention=345_600, **WHO).item)
    yield "PENDING", item
    running = _after(item, protocol.lease("r-1", now=NOW, **WHO))
    running = _after(running, protocol.extend("r-1", attempt=1, now=NOW, progress="Reading"))
    yield "PENDING, running", running
    yield "PENDING, given back", _after(running, protocol.release("r-1", attempt=1, error="it failed"))
    ended: dict[str, Any] = {"session_id": "s-1", "user_id": "alice", "redrives": 0, "reply_id": "m-1", **KEPT}
    ok = protocol.finish("r-1", status=protocol.DONE, status_code=200, answer="{}", **ended)
    yield "DONE", _after(running, ok)
    failed = _after(running, protocol.finish("r-1", status=protocol.FAILED, status_code=502, answer="{}", **ended))
    yield "FAILED", failed
    yield "FAILED, expired", _after(running, protocol.expire("r-1", **KEPT))
    yield "PENDING, redriven", _after(failed, protocol.redrive("r-1", session_id="s-1", **KEPT))
    name = protocol.piece_name("r-1", attempt=1, seq=0)
    yield "piece", protocol.piece(name, text=json.dumps({"delta": "He", "paused": {}}), **KEPT).item


def _after(item: Mapping[str, Any], change: protocol.Update) -> dict[str, Any]:
    added = {name: item.get(name, 0) + number for name, number in change.add.items()}
    return {**item, **change.values, **added}


def _sent() -> Iterator[tuple[str, Mapping[str, Any]]]:
    body = messages.request_body(REQUEST)
    request = messages.request_message(body=body, request_id="r-1", redrives=1, endpoint_url="https://x", **WHO)
    yield "request", _through("q.fifo", request)
    yield "request, not FIFO", _through("q", request)
    received = messages.received(record(_through("q.fifo", request)))
    answer = runner.answer("Hi", REQUEST).text
    reply = messages.reply_message(received, body=answer, session_id="s-1", status_code=200, attempt=1, redrives=0)
    yield "reply", _through("q.fifo", reply)
    yield "kept in S3", json.loads(messages.reference(bucket="b", key="k", size=1, sha256="0", session_id="s-1"))
    table, dead, told, parked = mock.Mock(), mock.Mock(), mock.Mock(), mock.Mock()
    table.read.return_value = None
    letters = DeadLetters(table=table, dead_letters=dead, replies=told, parked=parked, now_ms=lambda: NOW * 1000)
    with mock.patch("ak_lambda.dead_letter_handler.dead_letters._log"):
        letters.handle(record(_through("q.fifo", request)))
    yield "dead letter's reply", _through("q.fifo", told.send.call_args.args[0])
    yield "parked", _through("q.fifo", parked.send.call_args.args[0])


def _through(url: str, message: messages.ToSend) -> dict[str, Any]:
    client = mock.Mock()
    Queue(client, url).send(message)
    sent = dict(client.send_message.call_args.kwargs)
    attributes = {name: value["StringValue"] for name, value in sent.pop("MessageAttributes").items()}
    return {**sent, "QueueUrl": url, "MessageBody": json.loads(message.body), "MessageAttributes": attributes}


def record(sent: Mapping[str, Any]) -> dict[str, Any]:
    """Give a message as an event source mapping hands it over."""
    system = {name: sent[name] for name in ("MessageGroupId", "MessageDeduplicationId") if name in sent}
    return {
        "messageId": "m-1",
        "receiptHandle": "h-1",
        "body": json.dumps(sent["MessageBody"]),
        "attributes": {"ApproximateReceiveCount": "1", **system},
        "messageAttributes": {name: {"stringValue": text} for name, text in sent["MessageAttributes"].items()},
    }


def _answers() -> Iterator[tuple[str, Mapping[str, Any]]]:
    items = dict(_items())
    made = {
        "answer": runner.answer("Hi", REQUEST),
        "agent's own answer": runner.answer({"result": "Hi"}, REQUEST),
        "agent failed": runner.failure(ValueError("no"), "r-1"),
        "session store failed": runner.store_failure("r-1", throttled=True),
        "secrets cannot be read": runner.secrets_failure("r-1", may_pass=True),
        "refused": answers.refused(RefusedError(400, "no")),
        "accepted": pipeline.accepted(EVENT, items["PENDING"]),
        "pending": pipeline.pending(EVENT, items["PENDING, running"]),
        "not found": pipeline.not_found("r-1"),
        "session of somebody else": pipeline.closed(),
        "request id is taken": pipeline.taken(),
        "unavailable": pipeline.unavailable("r-1", "throttled"),
        "failed": pipeline.final(items["FAILED"], '{"error": "no"}'),
        "too large": pipeline.elsewhere(items["DONE"], "https://x"),
    }
    for name, answer in made.items():
        response = answers.http_response(answer, {})
        yield name, {**response, "body": json.loads(response["body"])}
    yield "answer to a direct invoke", runner.direct_response(made["answer"])
    yield "failure of a direct invoke", runner.direct_response(made["agent failed"])
    said = health.handler({}, None)
    yield "health", {**said, "body": json.loads(said["body"])}


def _frames() -> Iterator[tuple[str, Mapping[str, Any]]]:
    items = dict(_items())
    about: dict[str, Any] = {"request_id": "r-1", "session_id": "s-1"}
    made = {
        "queued": frames.queued(**about, progress="Reading", reconnect=True),
        "chunk": frames.chunk(**about, attempt=1, seq=0, delta="H", event={"of": "agent"}, error="no"),
        "progress": frames.progress(**about, attempt=1, text="Reading"),
        "answer": frames.response(items["DONE"], '{"result": "Hi"}'),
        "failure": frames.response(items["FAILED"], '{"error": "no"}'),
        "link": frames.response(items["DONE"], None, location="https://x"),
        "refusal": pipeline.refusal_frame(pipeline.not_found("r-1"), "r-1"),
        "pong": frames.pong(reconnect=True),
        "part": frames.response(items["DONE"], json.dumps({"result": "H" * frames.MAX_FRAME_BYTES})),
    }
    yield from ((name, json.loads(frames.written(frame, lambda: "p-1")[0])) for name, frame in made.items())


def _stored() -> Iterator[tuple[str, Mapping[str, Any]]]:
    client = mock.Mock()
    Connections(client, "t").add(Connection("alice", "c-1", "https://x"), now=NOW)
    yield "connections table", client.put_item.call_args.kwargs["Item"]
    store = TableSessions(client, "t", turns.Keeping(ttl_seconds=60, turns=5))
    client.get_item.return_value = {}
    store.claim("s-1", "alice", now=NOW)
    yield "sessions table: owner", client.put_item.call_args.kwargs["Item"]
    key = turns.turn_key(NOW * 1000, "r-1")
    turn: dict[str, Any] = {
        "key": key,
        "prompt": "Hello",
        "answer": "Hi",
        "request_id": "r-1",
        "created_at": NOW * 1000,
    }
    store.add_turn("s-1", now=NOW, **turn)
    yield "sessions table: turn", client.put_item.call_args.kwargs["Item"]
    redis = mock.MagicMock()
    with mock.patch.dict("sys.modules", dict.fromkeys(["redis", "redis.backoff", "redis.retry"], redis)):
        from ak_lambda.shared.sessions_redis import RedisSessions  # noqa: PLC0415 - its client is stood in for here

        cache = RedisSessions(redis, turns.Keeping(ttl_seconds=60, turns=5))
        cache.claim("s-1", "alice", now=NOW, new=True)
        batch = redis.pipeline.return_value.__enter__.return_value
        batch.execute.return_value = [None, None, [key]]
        cache.add_turn("s-1", now=NOW, **turn)
    yield "Redis: owner", {redis.set.call_args.args[0]: redis.set.call_args.args[1]}
    name, field, text = batch.hset.call_args.args
    yield "Redis: turn", {name: {field: json.loads(text)}}
    for folder in (REQUESTS, ANSWERS):
        Payloads(lambda: client, "b").fitted("x", 0, folder=folder, session_id="s-1")
        put = client.put_object.call_args.kwargs
        yield f"bucket: {folder}", {put["Key"]: put["ContentType"]}


def _told() -> Iterator[tuple[str, Mapping[str, Any]]]:
    items = dict(_items())
    yield "reply handler's event", replies._told(items["DONE"])  # noqa: SLF001 - what it is told is promised
    yield "keep-warm ping", json.loads(warming.payload(75))
    yield "keep-warm ping's answer", Environment().enter()
    yield "warmer's answer", warming.result({"target": []}, 1)
    counts = warming.metrics(warming.summary(1, []))
    said = json.loads(metrics.embedded(counts, dimensions={"Target": "t", "Warmer": "w"}, now_ms=0))
    yield "warmer's metrics", {**said, "_aws": said["_aws"]["CloudWatchMetrics"]}
    failures = [pruning.Failure(function="f", what="no")]
    run = pruning.Run(
        dry_run=True, outcomes=[], failures=failures, functions_seen=0, left=0, stopped="budget", code_storage=(1, 2)
    )
    yield "pruner's report", pruning.report(run)
    yield "pruner's metrics", {name: unit for name, (_, unit) in pruning.metrics(run).items()}
    caller = {"methodArn": "arn:aws:execute-api:r:1:a/prod/POST/x", "requestContext": {}}
    yield "authorizer's context", authorizer.allow(caller, {"sub": "alice", "scope": "a"}, "alice")["context"]
