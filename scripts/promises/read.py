"""What our functions make of what others sent: callers, and functions and tables of the release before.

`READERS` has what reads each kind; `asked` has what this release's own senders and clients send, as they send it.
A later release reads the same, and must make at least the same of it.
"""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import Any
from unittest import mock

from ak_lambda.keep_warm import core as warming
from ak_lambda.redrive import core as redrive
from ak_lambda.request_handler import core as pipeline
from ak_lambda.shared import frames, identity, messages, pings, protocol, requests, turns
from ak_lambda.shared.connections import Connections
from ak_lambda.shared.fields import RefusedError
from ak_lambda.shared.sessions import TableSessions
from scripts.promises.written import NOW, record, written

BODY = {"prompt": "Hello", "session_id": "s-1", "agent": "support", "images": ["i"], "note": "n"}


def read(name: str, given: Any) -> Any:  # noqa: ANN401 - JSON
    """Give what is made of something, or how it is refused."""
    reader = next((each for beginning, each in READERS.items() if name.startswith(beginning)), None)
    if reader is None:
        return {"nothing reads": name}
    try:
        return json.loads(json.dumps(reader(given), default=_plain))
    except RefusedError as error:
        return {"refused": error.status}
    except Exception as error:  # noqa: BLE001 - whatever it is, it stops the function
        return {"fails": f"{type(error).__name__}: {error}"}


def asked() -> dict[str, Any]:
    """Give what is sent, by name."""
    sent = written()
    queued = {name: record(each) for name, each in sent.items() if name.startswith("queue: ") and "S3" not in name}
    items = {name: each for name, each in sent.items() if name.startswith("requests table: ") and "piece" not in name}
    rows = {name: sent[name] for name in ("connections table", "sessions table: owner", "sessions table: turn")}
    identity_ = {"user": "AROA1:x", "apiKeyId": "k-1"}
    by_name = {"requestContext": {"identity": identity_, "authorizer": {"user": "u", "claims": {"sub": "u"}}}}
    return {
        **queued,
        **items,
        **rows,
        "body kept in S3": json.dumps(sent["queue: kept in S3"]),
        "HTTP request": _http({**BODY, "request_id": "r-1"}),
        "HTTP request, Agent Kernel's form": _http({"request_id": "r-1", "user_id": "u", "body": BODY}),
        "HTTP request, Idempotency-Key": {**_http(BODY), "headers": {"Idempotency-Key": "r-1", "Prefer": "wait=5"}},
        "HTTP poll": {**_http(None), "httpMethod": "GET", "pathParameters": {"request_id": "r-1"}},
        "HTTP poll, query": {**_http(None), "httpMethod": "GET", "queryStringParameters": {"request_id": "r-1"}},
        "direct invoke": {**BODY, "request_id": "r-1", "user_id": "alice"},
        "WebSocket message": {
            "requestContext": {"connectionId": "c-1"},
            "body": json.dumps({"route": "chat", **BODY, "request_id": "r-1"}),
        },
        **{f"identity by {rule}": [rule, by_name] for rule in ("iam", "cognito", "lambda:user", "api_key", "public")},
        "redrive": {"queue": "replies", "max_messages": 5},
        "keep-warm ping": json.loads(warming.payload(75)),
        "keep-warm ping of lambda-warmer": {"warmer": True, "concurrency": 3},
        "keep-warm ping's answer": json.dumps({"environment_id": "e-1", "cold": True}),
    }


def _http(body: object) -> dict[str, Any]:
    return {
        "resource": "/api/v1/chat",
        "httpMethod": "POST",
        "stageVariables": {"akConstructsIdentity": "iam"},
        "requestContext": {"identity": {"user": "AROA1:x"}},
        "body": body and json.dumps(body),
    }


def _new_id() -> str:
    return "made-up"


def _message(given: Any) -> Any:  # noqa: ANN401
    received = messages.received(given)
    outcome = messages.outcome(received.body, received.attributes.get("status_code"))
    request: object = None
    with contextlib.suppress(RefusedError):  # a reply
        request = requests.queued_request(
            received.body, request_id=received.request_id, session_id=received.session_id, user_id=received.user_id
        )
    names = ("request_id", "session_id", "user_id", "redrives", "receives", "deduplication_id", "attributes")
    return {**{name: getattr(received, name) for name in names}, "outcome": outcome, "request": request}


def _item(item: Mapping[str, Any]) -> Any:  # noqa: ANN401
    seen: dict[str, Any] = {
        "final": protocol.is_final(item),
        "of": protocol.is_of(item, session_id="s-1", user_id="alice"),
        "may read": protocol.may_read(item, user_id="alice"),
        "same": protocol.same_request(item, user_id="alice", body_hash="0"),
        "outdated": protocol.is_outdated(item, redrives=0),
        "redriven": redrive.decision(item, session_id="s-1", user_id="alice", parked_redrives=0),
    }
    if not seen["final"]:
        seen |= {"can expire": protocol.can_expire(item, now=NOW), "lease": protocol.lease_left(item, now=NOW)}
        return {**seen, "frame": pipeline.queued_frame(item, reconnect=False)}
    answer = item["answer"] if "error" in item["answer"] else '{"error": "no"}'
    return {**seen, "status": pipeline.final(item, answer).status, "frame": frames.response(item, answer)}


def _connection(row: Mapping[str, Any]) -> Any:  # noqa: ANN401
    client = mock.Mock(query=lambda **_arguments: {"Items": [row]})
    return [
        [each.user_id, each.connection_id, each.endpoint] for each in Connections(client, "t").of_user("alice", now=NOW)
    ]


def _session(item: Mapping[str, Any]) -> Any:  # noqa: ANN401
    client = mock.Mock(query=lambda **_arguments: {"Items": [item]}, get_item=lambda **_arguments: {"Item": item})
    store = TableSessions(client, "t", turns.Keeping(ttl_seconds=60, turns=5))
    if "opened_by" in item:
        return {user: store.claim("s-1", user, now=NOW) for user in ("alice", "bob")}
    return store.history("s-1", now=NOW)


def _socket(event: Mapping[str, Any]) -> Any:  # noqa: ANN401
    payload = requests.socket_payload(requests.socket_message(event))
    return requests.socket_request(payload, user_id="alice", new_id=_new_id)


def _polled(event: Mapping[str, Any]) -> Any:  # noqa: ANN401
    return pipeline.asked_id(pipeline.asked(event))


def _submitted(event: Mapping[str, Any]) -> Any:  # noqa: ANN401
    submission = pipeline.submission(event, _new_id)
    return {"request": submission.request, "hash": submission.body_hash, "wait": pipeline.wait_ms(event, 0)}


def _pinged(text: str) -> Any:  # noqa: ANN401
    ping = warming.answered(text.encode(), None)
    return [ping.outcome, ping.environment_id, ping.cold]


READERS: dict[str, Callable[[Any], Any]] = {  # by how the names begin
    "queue: ": _message,
    "requests table: ": _item,
    "connections table": _connection,
    "sessions table: ": _session,
    "body kept in S3": messages.referenced,
    "HTTP request": _submitted,
    "HTTP poll": _polled,
    "direct invoke": lambda event: [requests.kind_of(event), requests.direct_request(event, _new_id)],
    "WebSocket message": _socket,
    "identity by ": lambda given: identity.caller_by(given[0], given[1], {}),
    "redrive": redrive.asked,
    "keep-warm ping's answer": _pinged,
    "keep-warm ping": lambda event: [pings.is_ping(event), pings.hold_ms_of(event)],
}


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return dict(value) if isinstance(value, Mapping) else list(value)  # type: ignore[call-overload]
