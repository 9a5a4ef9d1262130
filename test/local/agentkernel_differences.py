# ruff: noqa: E501 - answers stand in the table as they came
"""How our pipeline differs from Agent Kernel's in what a client sees, and why that is intended.

    uv run python -m test.local.agentkernel_differences

writes docs/agent-kernel-differences.md. A test sends all cases through both and holds this table to what it sees.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from test.local.agentkernel_cases import CASES

DOCUMENT = Path(__file__).parents[2] / "docs" / "agent-kernel-differences.md"
BOTH = ("rest_sync", "rest_async")

CALLER = "the caller is at fault, and is told how"
QUEUE = "SQS does not take it as a group or as a name of a message, though this emulator does; we say so before"
NUMBERS = "answers are kept as JSON text, not as a map of DynamoDB's, which has other numbers and 32 levels"
READ = "an answer can be read until it expires: a caller who lost the response asks again"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One case in which the two answer differently.

    Attributes:
        case: Its name.
        theirs: What Agent Kernel answers.
        ours: What our pipeline answers.
        why: Why that is intended.
        modes: Where.
    """

    case: str
    theirs: str
    ours: str
    why: str
    modes: Sequence[str] = BOTH


DIFFERENCES = (
    Difference(
        case="submission",
        modes=("rest_async",),
        theirs='200 {"status": "ACCEPTED", "request_id": "submission-1"}',
        ours='202 {"status": "ACCEPTED", "request_id": "submission-1", "session_id": "s-1"}',
        why="202 always and only means that there is no answer yet; the session may have been made here",
    ),
    Difference(
        case="no session_id",
        theirs='500 {"error": "An unexpected error occurred", "request_id": "<id>"}',
        ours='200 {"result": "echo heard hi", "session_id": "<id>"}',
        why="a conversation can begin without one: we make it and say which",
    ),
    Difference(
        case="empty session_id",
        theirs='500 {"error": "An unexpected error occurred", "request_id": "<id>"}',
        ours='400 {"error": "session_id must match ^[A-Za-z0-9_:.-]{1,128}$"}',
        why=CALLER,
    ),
    Difference(
        case="session_id of 129 characters",
        theirs='200 {"result": "echo heard hi", "session_id": "xxx..."}',
        ours='400 {"error": "session_id must match ^[A-Za-z0-9_:.-]{1,128}$"}',
        why=QUEUE,
    ),
    Difference(
        case="session_id with a space",
        theirs='200 {"result": "echo heard hi", "session_id": "a b"}',
        ours='400 {"error": "session_id must match ^[A-Za-z0-9_:.-]{1,128}$"}',
        why=QUEUE,
    ),
    Difference(
        case="request_id with a space",
        theirs='200 {"result": "echo heard hi", "session_id": "request_id-with-a-space"}',
        ours='400 {"error": "request_id must match ^[A-Za-z0-9_:.-]{1,96}$"}',
        why=QUEUE,
    ),
    Difference(
        case="empty request_id",
        theirs='200 {"result": "echo heard hi", "session_id": "empty-request_id"}',
        ours='400 {"error": "request_id must match ^[A-Za-z0-9_:.-]{1,96}$"}',
        why="an empty id is a mistake of the caller's program; left out or null, one is made",
    ),
    Difference(
        case="no prompt",
        theirs='500 {"error": "An unexpected error occurred"}',
        ours='400 {"error": "prompt must be a string, got nothing"}',
        why=CALLER,
    ),
    Difference(
        case="empty prompt",
        theirs='400 {"error": "No prompt provided in the request", "session_id": "empty-prompt"}',
        ours='400 {"error": "prompt must not be empty"}',
        why="refused before it costs a run",
    ),
    Difference(
        case="blank prompt",
        theirs='200 {"result": "echo heard   ", "session_id": "blank-prompt"}',
        ours='400 {"error": "prompt must not be empty"}',
        why="no agent can answer it; refused before it costs a run",
    ),
    Difference(
        case="prompt a number",
        theirs='500 {"error": "An unexpected error occurred"}',
        ours='400 {"error": "prompt must be a string, got a number"}',
        why=CALLER,
    ),
    Difference(
        case="not JSON",
        theirs='500 {"error": "An unexpected error occurred"}',
        ours='400 {"error": "body must be a JSON object, got something that is not JSON"}',
        why=CALLER,
    ),
    Difference(
        case="NaN in the body",
        theirs='200 {"result": "{\\"number\\": NaN}", "session_id": "nan"}',
        ours='400 {"error": "body must be a JSON object, got something that is not JSON"}',
        why="it is not JSON, and other readers of the queue would stumble",
    ),
    Difference(
        case="no body",
        theirs='500 {"error": "An unexpected error occurred", "request_id": "<id>"}',
        ours='400 {"error": "body must be a JSON object, got nothing"}',
        why=CALLER,
    ),
    Difference(
        case="body an array",
        theirs='500 {"error": "An unexpected error occurred"}',
        ours='400 {"error": "body must be a JSON object, got an array"}',
        why=CALLER,
    ),
    Difference(
        case="a user_id in the body",
        theirs='200 {"result": "bob", "session_id": "a-user_id-in-the-body"}',
        ours='200 {"result": "alice", "session_id": "a-user_id-in-the-body"}',
        why="who asks is what the authorizer says; a body can claim anything",
    ),
    Difference(
        case="half a surrogate pair",
        theirs='500 {"error": "Failed to process message after 2 retries", "request_id": "<id>", "session_id": "half-a-surrogate-pair"}',
        ours='400 {"error": "body must be valid Unicode, got half of a surrogate pair"}',
        why="it is no character and no store takes it; refused before it costs a run",
    ),
    Difference(
        case="prompt of 300 kB",
        theirs='500 {"error": "An unexpected error occurred", "request_id": "<id>"}',
        ours='200 {"result": "echo heard xxx...", "session_id": "prompt-of-300-kB"}',
        why="our queues take 1 MiB, theirs 256 KiB",
    ),
    Difference(
        case="prompt of 800 kB",
        theirs='500 {"error": "An unexpected error occurred", "request_id": "<id>"}',
        ours='413 {"error": "body must be at most 716,800 bytes for this agent"}',
        why="no message to an agent with a handler of its own holds it, which is said with the limit",
    ),
    Difference(
        case="answer of 350 kB",
        theirs='200 {"error": "No response message found ...", "status": "NOT_FOUND", "request_id": "<id>"}',
        ours='200 {"result": "xxx...", "session_id": "answer-of-350-kB"}',
        why="our queues take 1 MiB; what no item holds is kept in S3",
    ),
    Difference(
        case="answer of 500 kB",
        theirs='200 {"error": "No response message found ...", "status": "NOT_FOUND", "request_id": "<id>"}',
        ours='200 {"result": "xxx...", "session_id": "answer-of-500-kB"}',
        why="our queues take 1 MiB; what no item holds is kept in S3",
    ),
    Difference(
        case="answer that asks a person",
        theirs='202 {"status": "PAUSED", "payload": "red or blue?"}',
        ours='200 {"status": "PAUSED", "payload": "red or blue?"}',
        why="a pause is an answer: 202 would make clients poll on; `status` in the body says PAUSED",
    ),
    Difference(
        case="answer with a whole number",
        theirs='500 {"error": "Custom handler error: Object of type Decimal is not JSON serializable"}',
        ours='200 {"status": "PAUSED", "payload": 7}',
        why=NUMBERS,
    ),
    Difference(
        case="answer with a decimal number",
        theirs='500 {"error": "Failed to process message after 2 retries", "request_id": "<id>", "session_id": "answer-with-a-decimal-number"}',
        ours='200 {"status": "PAUSED", "payload": 1.5}',
        why=NUMBERS,
    ),
    Difference(
        case="answer with a number of 40 digits",
        theirs='500 {"error": "Failed to process message after 2 retries", "request_id": "<id>", "session_id": "answer-with-a-number-of-40-digits"}',
        ours='200 {"status": "PAUSED", "payload": 1000000000000000000000000000000000000000}',
        why=NUMBERS,
    ),
    Difference(
        case="answer nested 40 levels",
        theirs='500 {"error": "Failed to process message after 2 retries", "request_id": "<id>", "session_id": "answer-nested-40-levels"}',
        ours='200 {"status": "PAUSED", "payload": <nested>}',
        why=NUMBERS,
    ),
    Difference(
        case="agent raises",
        theirs='500 {"error": "out of luck", "session_id": "agent-raises"}',
        ours='502 {"status": "FAILED", "request_id": "<id>", "error": "out of luck"}',
        why="a failure looks the same whatever failed, and 502 says that it was behind us; the session is the caller's own",
    ),
    Difference(
        case="agent takes 15 s",
        modes=("rest_sync",),
        theirs='200 {"error": "No response message found ...", "status": "NOT_FOUND", "request_id": "<id>"}',
        ours='200 {"result": "echo heard hi", "session_id": "agent-takes-15-s"}',
        why="we wait for as long as API Gateway does, and then say PENDING with 202 (Agent Kernel's wait is shortened here: it ends after 20 s by default)",
    ),
    Difference(
        case="answer read twice",
        modes=("rest_async",),
        theirs='200 {"result": "echo heard hi", "session_id": "s-1"}; then 200 {"error": "No response message found ...", "status": "NOT_FOUND", "request_id": "twice-1"}',
        ours='200 {"result": "echo heard hi", "session_id": "s-1"}; then 200 {"result": "echo heard hi", "session_id": "s-1"}',
        why=READ,
    ),
    Difference(
        case="same request again",
        theirs='200 {"result": "echo heard hi", "session_id": "s-1"}; then 200 {"error": "No response message found ...", "status": "NOT_FOUND", "request_id": "again-1"}',
        ours='200 {"result": "echo heard hi", "session_id": "s-1"}; then 200 {"result": "echo heard hi", "session_id": "s-1"}',
        why=READ,
    ),
    Difference(
        case="same request_id with another prompt",
        theirs='200 {"result": "echo heard hi", "session_id": "s-1"}; then 200 {"error": "No response message found ...", "status": "NOT_FOUND", "request_id": "other-1"}',
        ours='200 {"result": "echo heard hi", "session_id": "s-1"}; then 409 {"error": "request_id is taken by another request; choose a new one"}',
        why="the queue would drop the second silently; we say that the id is taken",
    ),
    Difference(
        case="poll by query",
        modes=("rest_async",),
        theirs='200 {"result": "echo heard hi", "session_id": "s-1"}; then 200 {"error": "No response message found ...", "status": "NOT_FOUND", "request_id": "<id>"}',
        ours='200 {"result": "echo heard hi", "session_id": "s-1"}; then 200 {"result": "echo heard hi", "session_id": "s-1"}',
        why="browsers send no body with GET: path and query work too",
    ),
    Difference(
        case="poll of an unknown id",
        modes=("rest_async",),
        theirs='200 {"error": "No response message found ...", "status": "NOT_FOUND", "request_id": "nobodys"}',
        ours='404 {"status": "NOT_FOUND", "request_id": "nobodys", "error": "no such request, or it has expired"}',
        why="404 says so at once, where Agent Kernel looks again and again",
    ),
    Difference(
        case="poll without an id",
        modes=("rest_async",),
        theirs='200 {"error": "No response message found ...", "status": "NOT_FOUND", "request_id": "<id>"}',
        ours='400 {"error": "request_id must be given: as the last segment of the path, or in the query"}',
        why=CALLER,
    ),
    Difference(
        case="poll of somebody else's request",
        modes=("rest_async",),
        theirs='200 {"status": "ACCEPTED", "request_id": "hers-1"}; then 200 {"result": "echo heard hi", "session_id": "s-1"}',
        ours='202 {"status": "ACCEPTED", "request_id": "hers-1", "session_id": "s-1"}; then 404 {"status": "NOT_FOUND", "request_id": "hers-1", "error": "no such request, or it has expired"}',
        why="an answer belongs to the user who asked",
    ),
    Difference(
        case="somebody else's session",
        theirs='200 {"result": "1", "session_id": "hers"}; then 200 {"result": "2", "session_id": "hers"}',
        ours='200 {"result": "1", "session_id": "hers"}; then 403 {"error": "session_id belongs to somebody else"}',
        why="a session belongs to the user who opened it",
    ),
)

TEXT = """# Where the pipeline differs from Agent Kernel's

Written by `uv run python -m test.local.agentkernel_differences`; `projen test:local` sends all {cases} requests through
Agent Kernel 0.9.5's own handlers and through ours, the same agent of Agent Kernel's behind both, and fails when a
difference is missing here or is none any more. In `rest_async` the answer is what polling ends with; made-up ids, long
texts and deep nesting are shortened.

The same status and body on both sides: {same}.

| request | mode | Agent Kernel 0.9.5 | ours | why |
|---|---|---|---|---|
{rows}
"""


def document() -> str:
    """Write the table for people."""
    rows = (
        f"| {each.case} | {'both' if each.modes == BOTH else ', '.join(each.modes)} | {_code(each.theirs)} | "
        f"{_code(each.ours)} | {each.why} |"
        for each in DIFFERENCES
    )
    differ = {(each.case, mode) for each in DIFFERENCES for mode in each.modes}
    same = (case.name for case in CASES if not any((case.name, mode) in differ for mode in case.modes))
    return TEXT.format(cases=len(CASES), same="; ".join(same), rows="\n".join(rows))


def _code(text: str) -> str:
    return "`" + text.replace("|", "\\|").replace("`", "'") + "`"


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
