"""For each permission that the emulator enforces, the path that fails without it, and what is seen of that.

No path passes a function whose role another one takes something from, so that roles can be tried at the same time.
"""

import json
from collections.abc import Callable, Mapping, Sequence

from test.local import permission_chats as sockets
from test.local.permission_paths import (
    ACCESS_DENIED,
    AGENT,
    DEAD_LETTERS,
    FAR_AWAY,
    LARGE,
    QUEUED,
    QUICK,
    REDRIVE,
    RESPONSES,
    SECONDS,
    Failing,
    Paths,
    chats,
    comes_from_elsewhere,
    overdue,
    sizes,
    troubles,
    warms_and_prunes,
)
from test.local.queued_pipeline import new_id, until

# The APIs


def _posts(api: str, **fields: object) -> Failing:
    """Nothing is submitted, and the caller may send the same again."""

    def path(paths: Paths) -> Callable[[], None]:
        message = {"prompt": "hi", "seconds": 0.1, "request_id": new_id("again"), **fields}
        if fields.get("session_id"):
            message["session_id"] = new_id("s")
        nobody_waits = {"Prefer": "respond-async"}
        refused = paths.call(paths.own[api], message, nobody_waits)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1"), refused.text

        def again() -> None:
            assert paths.call(paths.own[api], message, nobody_waits).status_code in {200, 202}

        return again

    return path


def _polls(api: str, of: Callable[[Paths], str], then: int) -> Failing:
    """No answer is told, and the same poll is answered afterwards."""

    def path(paths: Paths) -> Callable[[], None]:
        url = f"{paths.own[api]}/{of(paths)}"
        assert paths.call(url).status_code == 503

        def again() -> None:
            assert paths.call(url).status_code == then

        return again

    return path


def _of_api(api: str) -> dict[tuple[str, str], Failing]:
    return {
        ("dynamodb:GetItem", "QueueRequests"): _polls(api, lambda _paths: new_id("unknown"), 404),
        ("dynamodb:PutItem", "QueueRequests"): _posts(api),
        ("dynamodb:UpdateItem", "QueueRequests"): _polls(api, lambda paths: overdue(paths, paths.user_id), 502),
        ("sqs:SendMessage", "QueueRequestQueue"): _posts(api),
        ("s3:PutObject", "queuepayloads/requests/*"): _posts(api, prompt="x" * LARGE),
        ("s3:GetObject", "queuepayloads/answers/*"): _polls(api, lambda paths: paths.large_request, 200),
        ("dynamodb:GetItem", "SessionsTable"): _posts(api, session_id=True),
        ("dynamodb:PutItem", "SessionsTable"): _posts(api, session_id=True),
    }


# The agent


def _runs(*, prompt: str = "hi", known: bool = True) -> Failing:
    """The runner gives its message back."""

    def path(paths: Paths) -> None:
        request_id = new_id("unanswered")
        if known:
            paths.put(request_id)
        message = {"prompt": prompt, **QUICK}
        paths.comes_back(AGENT, paths.send("QueueRequestQueue", message, request_id))

    return path


def _runs_large(paths: Paths) -> None:
    """The runner gives its message back: it cannot read what that refers to."""
    message = paths.keep(json.dumps({"prompt": "x" * LARGE, **QUICK}))
    paths.comes_back(AGENT, paths.send("QueueRequestQueue", message, new_id("large")))


def _runs_without_history(paths: Paths) -> None:
    """The session store fails."""
    request_id = new_id("history")
    paths.send("QueueRequestQueue", {"prompt": "hi", **QUICK}, request_id)
    line = paths.said(AGENT, "the session store failed", request_id=request_id)
    assert line["error_type"] in ACCESS_DENIED


def _runs_unhidden(paths: Paths) -> None:
    """The message of a run that goes on cannot be hidden for longer."""
    path = {"prompt": "hi", "seconds": 0.5, "pause": 0.005}
    paths.said_more(AGENT, "a heartbeat failed", lambda: paths.send("QueueRequestQueue", path, new_id("unhidden")))


# What is behind the agent


def _replies(*, known: bool = True, size: int = 1) -> Failing:
    """The answer waits in the reply queue, and is there when the handler may write it."""

    def path(paths: Paths) -> Callable[[], None]:
        request_id = new_id("unwritten")
        if known:
            paths.put(request_id)
        paths.comes_back(RESPONSES, paths.send("QueueReplies", {"result": "x" * size}, request_id))

        def written() -> None:
            until(lambda: paths.field(request_id, "status") == "DONE", SECONDS)

        return written

    return path


def _replies_unhidden(paths: Paths) -> None:
    """A reply whose request cannot be read comes back when the queue likes."""
    request_id = new_id("odd")
    paths.put(request_id, odd=True)
    paths.said_more(
        RESPONSES, "a message could not be put back", lambda: paths.send("QueueReplies", {"result": "hi"}, request_id)
    )


def _dead_letter(**fields: int) -> Failing:
    """The dead letter comes back."""

    def path(paths: Paths) -> None:
        request_id = new_id("dead")
        if fields:
            paths.put(request_id, **fields)
        paths.comes_back(DEAD_LETTERS, paths.send("QueueDeadLetters", {"prompt": "hi"}, request_id))

    return path


def _redrives(queue: str, parked: str, item: Mapping[str, str] | None = None) -> Failing:
    """Whoever invokes the redrive function is told that it failed."""

    def path(paths: Paths) -> None:
        request_id = new_id("parked")
        if item:
            paths.put(request_id, **item)
        paths.send(parked, {"prompt": "hi", "result": "hi", **QUICK}, request_id)
        assert "AccessDenied" in paths.redrive(queue)

    return path


_redrives_failed = _redrives("requests", "QueueParked", {"status": "FAILED"})
_redrives_reply = _redrives("replies", "QueueParkedReplies")

QUEUE: dict[str, dict[tuple[str, str], Failing]] = {
    AGENT: {
        ("dynamodb:PutItem", "QueueRequests"): _runs(known=False),
        ("dynamodb:UpdateItem", "QueueRequests"): _runs(),
        ("sqs:SendMessage", "QueueReplies"): _runs(),
        ("s3:PutObject", "queuepayloads/answers/*"): _runs(prompt="x" * LARGE),
        ("s3:GetObject", "queuepayloads/requests/*"): _runs_large,
        ("dynamodb:GetItem", "SessionsTable"): _runs_without_history,
        ("dynamodb:PutItem", "SessionsTable"): _runs_without_history,
        ("dynamodb:Query", "SessionsTable"): _runs_without_history,
        ("sqs:ChangeMessageVisibility", "QueueRequestQueue"): _runs_unhidden,
    },
    RESPONSES: {
        ("dynamodb:PutItem", "QueueRequests"): _replies(known=False),
        ("dynamodb:UpdateItem", "QueueRequests"): _replies(),
        ("s3:PutObject", "queuepayloads/answers/*"): _replies(size=400_000),
        ("sqs:ChangeMessageVisibility", "QueueReplies"): _replies_unhidden,
    },
    DEAD_LETTERS: {
        ("dynamodb:GetItem", "QueueRequests"): _dead_letter(),
        ("sqs:SendMessage", "QueueReplies"): _dead_letter(),
        ("sqs:SendMessage", "QueueParked"): _dead_letter(),
        ("sqs:ChangeMessageVisibility", "QueueDeadLetters"): _dead_letter(lease_until=FAR_AWAY),
    },
    REDRIVE: {
        ("dynamodb:GetItem", "QueueRequests"): _redrives_failed,
        ("dynamodb:UpdateItem", "QueueRequests"): _redrives_failed,
        ("sqs:SendMessage", "QueueRequestQueue"): _redrives_failed,
        ("sqs:ReceiveMessage", "QueueParked"): _redrives_failed,
        ("sqs:DeleteMessage", "QueueParked"): _redrives_failed,
        ("sqs:ChangeMessageVisibility", "QueueParked"): _redrives("requests", "QueueParked"),
        ("sqs:SendMessage", "QueueReplies"): _redrives_reply,
        ("sqs:ReceiveMessage", "QueueParkedReplies"): _redrives_reply,
        ("sqs:DeleteMessage", "QueueParkedReplies"): _redrives_reply,
    },
}


# The other examples


def _asks_a_model(paths: Paths) -> None:
    """The caller is told that the agent failed, and the log says where."""
    refused = paths.call(paths.own["ChatUrl"], {"prompt": "hi"})
    assert (refused.status_code, refused.json()["status"]) == (502, "FAILED")
    line = paths.said(AGENT, "the agent failed")
    assert (line["error_type"], line["agent_at"]) == ("AccessDeniedException", "agent.py:13 in respond")


def _warms(paths: Paths) -> None:
    """The warmer counts each ping as failed, and the log says why."""
    targets = json.loads(paths.invoke(paths.own["Warmer"], {}))["targets"]
    assert [(each["warm"] + each["cold"], each["failed"]) for each in targets.values()] == [(0, 3)]
    assert "AccessDenied" in paths.said("WarmWarmer", "a target is not warmed")["reason"]


def _prunes(output: str, operation: str, event: object = None) -> Failing:
    """The report says what was refused; what is not known to be of no use stays."""

    def path(paths: Paths) -> None:
        report = paths.prune(output, event or {})
        whats = {failure["what"].removesuffix("Exception") for failure in report["failures"]}
        assert whats == {f"{operation}: AccessDenied"}
        if operation.startswith(("List", "Delete", "GetResources")):
            assert not any(report["deleted"].values()), report["deleted"]

    return path


def _of_pruner(output: str, cursor: str, functions: str) -> dict[tuple[str, str], Failing]:
    on = {
        "lambda:ListVersionsByFunction": functions,
        "lambda:ListAliases": functions,
        "lambda:ListProvisionedConcurrencyConfigs": functions,
        "lambda:GetAccountSettings": "*",
        "lambda:ListEventSourceMappings": "*",
        "ssm:GetParameter": cursor,
        "ssm:PutParameter": cursor,
    }
    return {(action, resource): _prunes(output, action.partition(":")[2]) for action, resource in on.items()}


def _of_queue(
    stack: str, others: Mapping[str, Mapping[tuple[str, str], Failing]]
) -> dict[str, dict[tuple[str, str], Failing]]:
    """Give the cases of a stack with a queue, by role, and what else is there."""
    return {f"{stack}/{role}": {**QUEUE.get(role, {}), **others.get(role, {})} for role in {**QUEUE, **others}}


_BY_ROLE: dict[str, dict[tuple[str, str], Failing]] = {
    "ChatApi/Agent": {("bedrock:InvokeModel", "foundation-model/amazon.nova-lite-v1:0"): _asks_a_model},
    f"{QUEUED}/AcceptsRequestHandler": _of_api("AcceptUrl"),
    f"{QUEUED}/WaitsRequestHandler": _of_api("WaitUrl"),
    **_of_queue(QUEUED, {RESPONSES: {("lambda:InvokeFunction", "Tell"): _replies()}}),
    **_of_queue(sockets.CHATS, sockets.CASES),
    "AgentPlatform/WarmWarmer": {("lambda:InvokeFunction", "Support:live"): _warms},
    "AgentPlatform/PrunerFunction": _of_pruner("PrunerName", "PrunerCursor", "Support"),
    "Pruning/ByTagFunction": {
        **_of_pruner("ByTagFunction", "ByTagCursor", "function:*"),
        ("tag:GetResources", "*"): _prunes("ByTagFunction", "GetResources"),
    },
    "Pruning/ByNameFunction": {
        ("lambda:DeleteFunction", "function:worker-00:*"): _prunes("ByNameFunction", "DeleteFunction"),
        **_of_pruner("ByNameFunction", "ByNameCursor", "function:worker-00"),
        ("s3:PutObject", "reports/version-pruner/*"): _prunes("ByNameFunction", "PutObject", {"dry_run": True}),
    },
}
CASES: dict[tuple[str, str, str], Failing] = {
    (role, action, resource): path for role, paths in _BY_ROLE.items() for (action, resource), path in paths.items()
}
WITH_ALL: Sequence[Callable[[Paths], None]] = (  # the one that takes longest first
    troubles,
    sockets.talks,
    sizes,
    lambda paths: comes_from_elsewhere(paths.of(sockets.CHATS)),
    chats,
    warms_and_prunes,
)
