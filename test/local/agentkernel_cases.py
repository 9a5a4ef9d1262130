"""The requests that Agent Kernel's pipeline and ours are both sent, and how their answers are written down."""

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

AT_ONCE = 5  # each request keeps up to four processes of the emulator busy, and most of them wait
FINAL_SECONDS = 90  # for what takes one, on a machine that has other things to do
_MADE_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")
_NESTED = re.compile(r'(\{\\?"a\\?": ){10,}1\}{10,40}')
_LONG = re.compile(r"x{100,}")
_NOTHING_YET = re.compile(r"No response message found for request_id:? '[^']*'\. [^\"]*")

Call = Callable[..., httpx.Response]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One request of a caller.

    Attributes:
        body: JSON, or text that is sent as it is.
        method: POST, or GET for a poll.
        query: The query string.
        user: As whom.
    """

    body: Mapping[str, Any] | str | None = None
    method: str = "POST"
    query: Mapping[str, str] = field(default_factory=dict)
    user: str = "alice"


@dataclass(frozen=True, kw_only=True)
class Case:
    """Some requests in order.

    Attributes:
        name: What is particular about them.
        steps: The requests.
        follow: Whether a request that was accepted is polled until it is answered, its answer standing for it.
        modes: Where it means something.
    """

    name: str
    steps: Sequence[Step]
    follow: bool = True
    modes: Sequence[str] = ("rest_sync", "rest_async")


def post(**more: Any) -> Step:  # noqa: ANN401
    """Ask the agent, with a session unless there is another; None leaves a key out."""
    body = {"prompt": "hi", "agent": "echo", "session_id": "s-1", **more}
    return Step(body={name: value for name, value in body.items() if value is not None})


def once(name: str, **more: Any) -> Case:  # noqa: ANN401
    """Ask the agent once, in a session of its own."""
    return Case(name=name, steps=[post(**{"session_id": re.sub(r"\W+", "-", name), **more})])


def sent(name: str, body: Mapping[str, Any] | str | None) -> Case:
    """Send a body as it is."""
    return Case(name=name, steps=[Step(body=body)])


def nested(levels: int) -> object:
    """Nest objects."""
    value: object = 1
    for _ in range(levels):
        value = {"a": value}
    return value


MESSAGE = {"prompt": "hi", "agent": "echo", "session_id": "s-2"}

CASES = (
    once("flat"),
    sent("nested", {"body": MESSAGE}),
    sent("nested, request_id and user_id outside", {"request_id": "outside-1", "user_id": "bob", "body": MESSAGE}),
    Case(name="submission", steps=[post(request_id="submission-1")], follow=False, modes=["rest_async"]),
    once("no agent named", agent=None),
    once("unknown agent", agent="nobody"),
    sent("no session_id", {"prompt": "hi", "agent": "echo"}),
    once("empty session_id", session_id=""),
    once("session_id of 129 characters", session_id="x" * 129),
    once("session_id with a space", session_id="a b"),
    once("request_id with a space", request_id="a b"),
    once("empty request_id", request_id=""),
    once("no prompt", prompt=None),
    once("empty prompt", prompt=""),
    once("blank prompt", prompt="  "),
    once("prompt a number", prompt=1),
    sent("not JSON", '{"prompt": "hi",'),
    sent("NaN in the body", '{"prompt": "hi", "agent": "echo", "session_id": "nan", "do": "list", "number": NaN}'),
    sent("no body", None),
    sent("body an array", "[]"),
    once("other keys", do="list", deep={"a": [1, 2.5, "é", True]}),
    sent("null keys", {**MESSAGE, "do": "list", "nothing": None, "images": None}),
    once("other keys nested 40 levels", do="list", deep=nested(40)),
    once("a user_id in the body", do="name the user", user_id="bob"),
    once("Unicode", prompt="é 漢字 🙂 \u0000"),
    once("half a surrogate pair", prompt="\ud83d"),
    once("prompt of 300 kB", prompt="x" * 300_000),
    once("prompt of 800 kB", prompt="x" * 800_000),
    once("answer of 350 kB", do="grow", characters=350_000),
    once("answer of 500 kB", do="grow", characters=500_000),
    once("answer that asks a person", do="pause", payload="red or blue?"),
    once("answer with a whole number", do="pause", payload=7),
    once("answer with a decimal number", do="pause", payload=1.5),
    once("answer with a number of 40 digits", do="pause", payload=10**39),
    once("answer nested 40 levels", do="pause", payload=nested(40)),
    once("agent raises", do="raise"),
    once("agent takes 15 s", do="sleep", seconds=15),
    Case(
        name="answer read twice",
        steps=[post(request_id="twice-1"), Step(method="GET", body={"request_id": "twice-1"})],
        modes=["rest_async"],
    ),
    Case(name="same request again", steps=[post(request_id="again-1"), post(request_id="again-1")]),
    Case(
        name="same request_id with another prompt",
        steps=[post(request_id="other-1"), post(request_id="other-1", prompt="bye")],
    ),
    Case(
        name="poll by query",
        steps=[post(request_id="query-1"), Step(method="GET", query={"request_id": "query-1"})],
        modes=["rest_async"],
    ),
    Case(
        name="poll of an unknown id", steps=[Step(method="GET", body={"request_id": "nobodys"})], modes=["rest_async"]
    ),
    Case(name="poll without an id", steps=[Step(method="GET")], modes=["rest_async"]),
    Case(
        name="poll of somebody else's request",
        steps=[post(request_id="hers-1"), Step(method="GET", body={"request_id": "hers-1"}, user="bob")],
        follow=False,
        modes=["rest_async"],
    ),
    Case(
        name="somebody else's session",
        steps=[
            Step(body={**MESSAGE, "session_id": "hers", "do": "count"}),
            Step(body={**MESSAGE, "session_id": "hers", "do": "count"}, user="bob"),
        ],
    ),
)


def outcome(case: Case, call: Call, *, ends: bool = True) -> str:
    """Send a case's requests and write down what came back.

    Args:
        case: The requests.
        call: What sends one.
        ends: Whether the last of them is answered some time; without, it is polled only once.
    """
    *before, last = case.steps
    responses = [_answer(step, call, follow=case.follow, ends=True) for step in before]
    responses.append(_answer(last, call, follow=case.follow, ends=ends))
    return "; then ".join(map(_written, responses))


def _answer(step: Step, call: Call, *, follow: bool, ends: bool) -> httpx.Response:
    response = call(step)
    deadline = time.monotonic() + FINAL_SECONDS
    status, request_id = _status(response)
    going_on = {"ACCEPTED", "PENDING"}
    while follow and status in going_on and time.monotonic() < deadline:
        response = _poll(call, step, request_id)
        status, _ = _status(response)
        going_on |= {"NOT_FOUND"} if ends else set()  # Agent Kernel's word for it
    return response


def _poll(call: Call, step: Step, request_id: str) -> httpx.Response:
    time.sleep(0.1)
    return call(Step(method="GET", body={"request_id": request_id}, user=step.user))


def _status(response: httpx.Response) -> tuple[str, str]:
    try:
        body = response.json()
    except ValueError:
        return "", ""
    return (str(body.get("status")), str(body.get("request_id"))) if isinstance(body, dict) else ("", "")


def _written(response: httpx.Response) -> str:
    """Write an answer down without what differs from run to run, and without what is long for its own sake."""
    try:
        body = response.json()
    except ValueError:
        return f"{response.status_code} {response.text}"
    if isinstance(body, dict) and "interruptions" in body:  # everything else in it says the same twice
        body = {"status": body["status"], "payload": body["interruptions"][0]["payload"]}
    text = json.dumps(body, ensure_ascii=False)
    for pattern, short in {
        _MADE_ID: "<id>",
        _NESTED: "<nested>",
        _LONG: "xxx...",
        _NOTHING_YET: "No response message found ...",
    }.items():
        text = pattern.sub(short, text)
    return f"{response.status_code} {text}"
