"""The queued pipeline on its bad days: each request gets its one answer, whatever goes wrong in between.

What takes a minute, because a lease does, is begun at once by a fixture and goes on beside all other tests.
"""

import hashlib
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from ak_constructs.local.deployment import deploy
from ak_constructs.local.emulator import Emulator
from ak_constructs.local.logs import client, log_lines
from ak_lambda.request_handler import core
from ak_lambda.shared import protocol
from ak_lambda.shared.requests_table import RequestsTable
from test.lambda_assets.hostile import REFUSED
from test.local.queued_pipeline import Pipeline, new_id, until

pytestmark = pytest.mark.local
ALWAYS_RAISES = {"raise": "SECRET error"}


@pytest.fixture(scope="module")
def pipeline(aws: Emulator, work: Path) -> Iterator[Pipeline]:
    """Deploy the agent and its queues."""
    outputs = deploy(aws, work, app=f"{sys.executable} -m test.local.queued_pipeline_app")["Queued"]
    with httpx.Client(timeout=60) as http:
        deployed = Pipeline(aws, outputs, http)
        for api in ("Sync", "Async"):  # or a test that waits would wait for its functions to start
            request_id = new_id("warm")
            deployed.post(api, request_id=request_id)
            result(deployed.answer(api, request_id, 90))
        yield deployed


@pytest.fixture(scope="module", autouse=True)
def slow(pipeline: Pipeline) -> Iterator[Mapping[str, Future[dict[str, Any]]]]:
    """Begin what takes long."""
    days: list[Callable[[Pipeline], dict[str, Any]]] = [
        killed_day,
        long_day,
        timeout_day,
        exit_day,
        poison_day,
        down_day,
        exhausted_day,
    ]
    with ThreadPoolExecutor(len(days)) as calendar:
        yield {day.__name__: calendar.submit(day, pipeline) for day in days}


def killed_day(pipeline: Pipeline) -> dict[str, Any]:
    """Kill a runner in the middle of its run."""
    request_id, session_id = new_id("killed"), new_id("s")
    pipeline.post("Async", {"sleep": 30}, {}, request_id=request_id, session_id=session_id)
    after = new_id("after-killed")
    pipeline.post("Async", request_id=after, session_id=session_id)
    pipeline.kill_run(request_id)
    killed = time.monotonic()
    answer = pipeline.answer("Async", request_id, 100)
    seconds = time.monotonic() - killed
    pipeline.answer("Async", after)
    return {"answer": answer, "seconds": seconds, "runs": pipeline.runs(request_id), "after": pipeline.runs(after)}


def long_day(pipeline: Pipeline) -> dict[str, Any]:
    """Run for longer than a lease and a message's rest."""
    request_id = new_id("long")
    pipeline.post("Async", {"sleep": 67}, request_id=request_id)
    answer = pipeline.answer("Async", request_id, 100)
    return {"answer": answer, "item": pipeline.item(request_id), "runs": pipeline.runs(request_id)}


def timeout_day(pipeline: Pipeline) -> dict[str, Any]:
    """Let Lambda end a run that takes longer than the function may."""
    request_id = new_id("timeout")
    pipeline.post("ShortSync", {"sleep": 40}, {}, request_id=request_id, headers={"Prefer": "respond-async"})
    answer = pipeline.answer("ShortSync", request_id, 100)
    return {"answer": answer, "runs": pipeline.runs(request_id)}


def exit_day(pipeline: Pipeline) -> dict[str, Any]:
    """Let an agent end its own process, as one out of memory is ended."""
    request_id = new_id("exit")
    pipeline.post("Async", {"exit": 137}, {}, request_id=request_id)
    answer = pipeline.answer("Async", request_id, 100)
    return {"answer": answer, "runs": pipeline.runs(request_id)}


def poison_day(pipeline: Pipeline) -> dict[str, Any]:
    """Put a message that always fails between good ones, redrive it, and send it replies of before."""
    session_id = new_id("poisoned")
    good, poison, later = new_id("good"), new_id("poison"), new_id("later")
    pipeline.post("Async", {"sleep": 0.2}, request_id=good, session_id=session_id)
    cured = {"sleep": 8, "answer": {"result": "SECRET cured"}}
    pipeline.post("Async", *[ALWAYS_RAISES] * 5, cured, request_id=poison, session_id=session_id)
    pipeline.post("Async", request_id=later, session_id=session_id)
    found: dict[str, Any] = {"failed": pipeline.answer("Async", poison, 60), "later": pipeline.answer("Async", later)}
    found["runs"] = {name: pipeline.runs(id_) for name, id_ in (("good", good), ("poison", poison), ("later", later))}
    found["parked"] = until(lambda: pipeline.parked(poison))
    found["told"] = until(lambda: pipeline.told(poison))

    def late_reply() -> None:
        reply = {"request_id": poison, "status_code": "200", "redrives": "0"}
        pipeline.send_message("RepliesUrl", {"result": "SECRET late"}, session_id, **reply)

    late_reply()
    until(lambda: pipeline.queue_is_empty("RepliesUrl"))
    found["still_failed"] = pipeline.poll("Async", poison)
    redriven = client("lambda", pipeline.aws).invoke(FunctionName=pipeline.outputs["RedriveName"], Payload=b"{}")
    found["redriven"] = json.load(redriven["Payload"])
    until(lambda: pipeline.runs(poison)[5:])
    late_reply()
    until(lambda: pipeline.queue_is_empty("RepliesUrl"))
    found["while_running"] = pipeline.poll("Async", poison)
    found["cured"] = pipeline.answer("Async", poison)
    found["told_again"] = until(lambda: pipeline.told(poison, times=2))
    again = client("lambda", pipeline.aws).invoke(FunctionName=pipeline.outputs["RedriveName"], Payload=b"{}")
    found["redriven_again"] = json.load(again["Payload"])
    found["runs_in_the_end"] = pipeline.runs(poison)
    return found


def down_day(pipeline: Pipeline) -> dict[str, Any]:
    """Stop handling replies for as long as a caller can wait."""
    functions = client("lambda", pipeline.aws)
    name = pipeline.outputs["ShortResponseHandlerName"]
    (mapping,) = functions.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]

    def switch(*, on: bool) -> None:
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=on)
        state = "Enabled" if on else "Disabled"
        until(lambda: functions.get_event_source_mapping(UUID=mapping["UUID"])["State"] == state)

    switch(on=False)
    ids = [new_id("down") for _ in range(5)]
    with ThreadPoolExecutor(len(ids)) as callers:
        began = time.monotonic()
        waited = list(callers.map(lambda id_: pipeline.post("ShortSync", {}, headers={"Idempotency-Key": id_}), ids))
        seconds = time.monotonic() - began
        polled = pipeline.poll("ShortSync", ids[0])
        switch(on=True)
        back = list(callers.map(lambda id_: pipeline.post("ShortSync", {}, headers={"Idempotency-Key": id_}), ids))
    runs = [len(pipeline.runs(id_)) for id_ in ids]
    return {"waited": waited, "seconds": seconds, "polled": polled, "back": back, "runs": runs, "ids": ids}


def exhausted_day(pipeline: Pipeline) -> dict[str, Any]:
    """Let a message without item, session or name fail for good."""
    message_id = pipeline.send_message("RequestsUrl", {"prompt": "SECRET", "runs": [ALWAYS_RAISES]}, new_id("s"))
    return {"told": until(lambda: pipeline.told(message_id), 60), "item": pipeline.item(message_id)}


def result(response: httpx.Response) -> dict[str, Any]:
    """Give the JSON of a good answer."""
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def failure(response: httpx.Response) -> str:
    """Give the error of a failed request."""
    assert response.status_code == 502, response.text
    body = response.json()
    assert body["status"] == "FAILED"
    return str(body["error"])


def is_not_final(response: httpx.Response, status: str) -> bool:
    """Tell whether a response has all that a caller needs to come back."""
    assert (response.status_code, response.json()["status"]) == (202, status), response.text
    assert response.headers["Retry-After"] == "1"
    return str(response.headers["Location"]).endswith(response.json()["request_id"])


def test_a_poll_shows_what_the_run_is_doing(pipeline: Pipeline) -> None:
    """The newest text of the run's."""
    request_id = new_id("progress")
    pipeline.post("Async", {"progress": ["SECRET one", "SECRET two"]}, request_id=request_id)
    for text in ("SECRET one", "SECRET two"):
        until(lambda: pipeline.poll("Async", request_id).json().get("progress") == text)  # noqa: B023 - called before the next round
    assert "progress" not in result(pipeline.answer("Async", request_id))


def test_the_agent_is_told_the_turns_before(pipeline: Pipeline) -> None:
    """Those of its session, oldest first, and never its own."""
    session_id, ids = new_id("s"), [new_id("turn") for _ in range(3)]
    for number, id_ in enumerate(ids):
        last = result(pipeline.post("Sync", prompt=f"SECRET {number}", session_id=session_id, request_id=id_))
    assert last["history"] == [["SECRET 0", ids[0]], ["SECRET 1", ids[1]]]
    assert result(pipeline.post("Sync", session_id=new_id("s")))["history"] == []


def test_runs_of_a_session_are_in_order_and_those_of_others_beside_them(pipeline: Pipeline) -> None:
    """Submitted at once, one after the other in each session."""
    sessions = [new_id("s") for _ in range(4)]
    ids = [[new_id("r") for _ in range(4)] for _ in sessions]
    for number in range(4):
        for session, names in zip(sessions, ids, strict=True):
            pipeline.post("Async", {"sleep": 1.0}, session_id=session, request_id=names[number])
    runs = []
    for names in ids:
        for name in names:
            pipeline.answer("Async", name)
        mine = [pipeline.runs(name)[0] for name in names]
        assert all(first["ended"] <= second["began"] for first, second in itertools.pairwise(mine))
        runs.append(mine)
    assert max(mine[0]["began"] for mine in runs) < min(mine[-1]["ended"] for mine in runs)


def test_an_agent_that_raises_runs_again(pipeline: Pipeline) -> None:
    """Within the caller's wait, if it then answers."""
    request_id = new_id("raises")
    began = time.monotonic()
    assert result(pipeline.post("Sync", ALWAYS_RAISES, ALWAYS_RAISES, {}, request_id=request_id))
    assert len(pipeline.runs(request_id)) == 3
    assert time.monotonic() - began < 20


def test_an_error_that_the_agent_returns_is_final(pipeline: Pipeline) -> None:
    """It had its say: no second run, and nothing parked."""
    request_id = new_id("error")
    failed = pipeline.post("Sync", {"answer": {"error": "SECRET quota"}}, request_id=request_id)
    assert failure(failed) == "SECRET quota"
    assert len(pipeline.runs(request_id)) == 1


def test_a_message_delivered_twice_runs_once(pipeline: Pipeline) -> None:
    """One after the other: the second finds the answer, and what waits behind it in its session does not wait long."""
    request_id, session_id, after = new_id("twice"), new_id("s"), new_id("after-twice")
    pipeline.post("Async", {"sleep": 1}, request_id=request_id, session_id=session_id)
    message = {"prompt": "SECRET prompt", "session_id": session_id, "runs": [{}]}
    pipeline.send_message("RequestsUrl", message, session_id, request_id=request_id)
    pipeline.post("Async", request_id=after, session_id=session_id)
    first = result(pipeline.answer("Async", request_id))
    began = time.monotonic()
    result(pipeline.answer("Async", after, 90))
    assert time.monotonic() - began < 40, "a lease is a minute"
    assert result(pipeline.poll("Async", request_id)) == first
    assert len(pipeline.runs(request_id)) == 1


def test_a_message_delivered_twice_at_once_runs_once(pipeline: Pipeline) -> None:
    """In a queue whose groups keep nothing back: a lease does."""
    request_id, session_id = new_id("at-once"), new_id("s")
    message = {"prompt": "SECRET prompt", "session_id": session_id, "runs": [{"sleep": 4}]}
    for _ in range(2):
        pipeline.send_message("StandardRequestsUrl", message, session_id, request_id=request_id)
    until(lambda: pipeline.item(request_id, "StandardRequestsTable").get("status") == "DONE")
    assert len(pipeline.runs(request_id)) == 1


def test_a_message_of_another_session_takes_nobodys_request(pipeline: Pipeline) -> None:
    """It is dropped, whoever sent it: the id stands for another request."""
    request_id, session_id = new_id("taken"), new_id("s")
    first = result(pipeline.post("Sync", {"sleep": 2}, request_id=request_id, session_id=session_id))
    other, after = new_id("other"), new_id("after")
    for each in (request_id, after):  # in order, so that the first is over when the second is
        pipeline.send_message("RequestsUrl", {"prompt": "SECRET other"}, other, request_id=each)
    until(lambda: pipeline.item(after).get("status") == "DONE")
    assert result(pipeline.poll("Async", request_id)) == first
    assert len(pipeline.runs(request_id)) == 1


def test_a_second_reply_changes_nothing(pipeline: Pipeline) -> None:
    """Nor is anybody told of it."""
    request_id, session_id = new_id("replied"), new_id("s")
    first = result(pipeline.post("Sync", request_id=request_id, session_id=session_id))
    until(lambda: pipeline.told(request_id))
    for redrives in ("0", "1"):
        reply = {"request_id": request_id, "status_code": "200", "redrives": redrives}
        pipeline.send_message("RepliesUrl", {"result": "SECRET other"}, session_id, **reply)
    until(lambda: pipeline.queue_is_empty("RepliesUrl"))
    assert result(pipeline.poll("Async", request_id)) == first
    assert pipeline.told(request_id)["times"] == 1


@pytest.mark.parametrize("steps", ["the item is written", "the session is opened", "the message is sent"])
def test_a_submission_that_broke_off_can_be_repeated(pipeline: Pipeline, steps: str) -> None:
    """Between any two of its steps: the same request in the same session gets its one answer."""
    request_id, session_id = new_id("broke-off"), new_id("made")
    message = {"prompt": "SECRET prompt", "runs": [{"sleep": 0.5}], "request_id": request_id}
    event = {
        "body": json.dumps(message),
        "headers": {},
        "requestContext": {},
        "stageVariables": {"akConstructsIdentity": "public"},
    }
    now = time.time()
    put = protocol.submit(
        request_id=request_id,
        session_id=session_id,
        user_id=None,
        body_hash=core.submission(event, lambda: session_id).body_hash,
        now_ms=int(now * 1000),
        retention=345_600,
    )
    table = RequestsTable(client("dynamodb", pipeline.aws), pipeline.outputs["RequestsTable"])
    assert table.write(put, now=int(now)).done
    assert is_not_final(pipeline.poll("Async", request_id), "PENDING")
    if steps != "the item is written":
        owner = {"session_id": session_id, "key": "owner", "opened_by": "null", "expiry_time": int(now) + 10_000}
        pipeline.tables.Table(pipeline.outputs["SessionsTable"]).put_item(Item=owner)
    if steps == "the message is sent":
        pipeline.send_message("RequestsUrl", message, session_id, request_id=request_id)
    answer = result(pipeline.send("Sync", json.dumps(message).encode()))
    assert (answer["session_id"], answer["request_id"]) == (session_id, request_id)
    assert len(pipeline.runs(request_id)) == 1


def test_a_client_that_hangs_up_comes_back_for_its_answer(pipeline: Pipeline) -> None:
    """With the same Idempotency-Key; there is one run."""
    key = {"Idempotency-Key": new_id("hangs-up")}
    message = json.dumps({"prompt": "SECRET prompt", "runs": [{"sleep": 3}]}).encode()
    url = pipeline.aws.reachable(pipeline.outputs["SyncUrl"])
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(url, content=message, headers=key, timeout=1)
    answer = result(pipeline.send("Sync", message, key))
    assert answer["request_id"] == key["Idempotency-Key"]
    assert len(pipeline.runs(answer["request_id"])) == 1


def test_a_request_id_stands_for_one_body(pipeline: Pipeline) -> None:
    """Sent again it is the same request, whatever its key order; with another body it is 409."""
    request_id = new_id("same")
    first = result(pipeline.send("Sync", f'{{"prompt": "SECRET", "request_id": "{request_id}"}}'.encode()))
    assert result(pipeline.send("Sync", f'{{"request_id": "{request_id}", "prompt": "SECRET"}}'.encode())) == first
    other = pipeline.post("Sync", prompt="SECRET other", request_id=request_id)
    assert (other.status_code, set(other.json())) == (409, {"error"})


def test_nobody_reaches_another_users_requests_and_sessions(pipeline: Pipeline) -> None:
    """Not by polling, not by submitting under its id, not by its session."""
    request_id, session_id = new_id("alices"), new_id("s")
    mine = result(pipeline.post("Backend", request_id=request_id, session_id=session_id, user_id="alice"))
    assert mine["user_id"] == "000000000000/alice"
    assert result(pipeline.poll_as("alice", request_id)) == mine
    assert pipeline.poll_as("bob", request_id).status_code == 404
    assert pipeline.poll_as("bob", request_id).json()["status"] == "NOT_FOUND"
    assert pipeline.post("Backend", request_id=request_id, user_id="bob").status_code == 409
    assert pipeline.post("Backend", session_id=session_id, user_id="bob").status_code == 403
    assert pipeline.poll("Async", request_id).status_code == 404, "nobody is not alice either"
    assert pipeline.post("Sync", session_id=session_id).status_code == 403
    assert result(pipeline.post("Backend", session_id=session_id, user_id="alice"))["history"]


def test_an_id_that_nobody_submitted_is_not_found(pipeline: Pipeline) -> None:
    """And one that cannot be is refused."""
    unknown = pipeline.poll("Async", "unknown")
    assert (unknown.status_code, unknown.json()["status"], unknown.json()["request_id"]) == (
        404,
        "NOT_FOUND",
        "unknown",
    )
    assert pipeline.poll("Async", "a%20b").status_code == 400


@pytest.mark.parametrize("size", [1, 300_000, 1_000_000, 4_000_000])
def test_a_prompt_of_any_size_within_the_limit_is_answered(pipeline: Pipeline, size: int) -> None:
    """Also one that no message could hold; the agent has all of it."""
    prompt = "é" * (size // 2) + "x" * (size % 2)
    content = json.dumps({"prompt": prompt}, ensure_ascii=False).encode()
    answer = result(pipeline.send("Sync", content))
    assert answer["prompt_sha256"] == hashlib.sha256(prompt.encode()).hexdigest()


@pytest.mark.parametrize("size", [4_300_000, 9_000_000])
def test_a_body_beyond_the_limit_is_413(pipeline: Pipeline, size: int) -> None:
    """And names the limit."""
    refused = pipeline.post("Sync", prompt="x" * size)
    assert (refused.status_code, refused.json()["error"]) == (
        413,
        "body must be at most 4,194,304 bytes as JSON in the event",
    )


def test_no_hostile_request_is_the_pipelines_fault(pipeline: Pipeline) -> None:
    """A part of the corpus; before its queue hears of it."""
    corpus = [body.encode() for body in REFUSED.values() if "\ud800" not in body][::2]
    responses = [pipeline.send("Async", body) for body in corpus]
    assert {(each.status_code, *each.json()) for each in responses} == {(400, "error")}


def test_a_body_of_one_byte_is_400(pipeline: Pipeline) -> None:
    """As AgentApi says it."""
    assert pipeline.send("Sync", b"1").json() == {"error": "body must be a JSON object, got a number"}


@pytest.mark.parametrize("size", [1, 500_000, 2_000_000])
def test_an_answer_of_any_size_is_read_at_once(pipeline: Pipeline, size: int) -> None:
    """Also one that no item could hold."""
    assert result(pipeline.post("Sync", {"bytes": size}))["result"] == "A" * size


def test_an_answer_too_large_for_lambda_is_fetched(pipeline: Pipeline) -> None:
    """From a link that works without a signature of the caller's own."""
    request_id = new_id("large")
    seen = pipeline.post("Sync", {"bytes": 8_000_000}, request_id=request_id)
    assert seen.status_code == 303, seen.text[:200]
    fetched = httpx.get(seen.headers["Location"], timeout=30)
    assert result(fetched)["result"] == "A" * 8_000_000
    assert fetched.json()["request_id"] == request_id


def nested(levels: int) -> object:
    """Give lists in lists."""
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        [0.1 + 0.2, 1.0, 1e-7, 1e300, -0.0, 5e-324],
        [10**39 + 7, -(10**39), 2**63],
        nested(40),
        {"é": "\u2028 \x00 \U0001f600 \\ /", "": None, "t": [True, False]},
    ],
    ids=["floats", "integers of 40 digits", "40 levels", "texts"],
)
def test_an_answer_arrives_as_the_agent_gave_it(pipeline: Pipeline, value: object) -> None:
    """To the byte, by a wait and by a poll."""
    request_id, session_id = new_id("exact"), new_id("s")
    answer = {"result": "A", "value": value}
    waited = pipeline.post("Sync", {"answer": answer}, request_id=request_id, session_id=session_id)
    assert waited.text == json.dumps({**answer, "session_id": session_id})
    assert pipeline.poll("Async", request_id).content == waited.content


def test_an_answer_that_json_does_not_know_fails(pipeline: Pipeline) -> None:
    """At once: another run would give the same."""
    request_id = new_id("nan")
    failed = pipeline.post("Sync", {"nan": True}, request_id=request_id)
    assert failure(failed) == "the agent's answer cannot be written as JSON"
    assert len(pipeline.runs(request_id)) == 1


def test_a_message_sent_past_the_api_is_answered_too(pipeline: Pipeline) -> None:
    """Without an item and without attributes, under the message's id; the reply handler is told."""
    session_id = new_id("headless")
    message_id = pipeline.send_message("RequestsUrl", {"prompt": "SECRET headless"}, session_id)
    told = until(lambda: pipeline.told(message_id))
    assert (told["outcome"], told["times"]) == ("DONE", 1)
    answer = json.loads(pipeline.item(message_id)["answer"])
    assert answer == json.loads(told["answer"])
    assert pipeline.poll("Async", message_id).status_code == 404, "nobody's, and its id is no secret"
    assert (answer["result"], answer["session_id"]) == ("SECRET answer to SECRET headless", session_id)


def test_a_reply_handler_that_raises_is_told_again(pipeline: Pipeline) -> None:
    """And the caller has the answer meanwhile."""
    request_id = new_id("told")
    result(pipeline.post("Sync", {"answer": {"result": "SECRET raise at first"}}, request_id=request_id))
    assert until(lambda: pipeline.told(request_id, times=2))["outcome"] == "DONE"


def test_a_queue_without_order_answers_too(pipeline: Pipeline) -> None:
    """Each request in its session, as often as asked for; a failed run is repeated."""
    session_id = new_id("s")
    result(pipeline.post("StandardSync", session_id=session_id))
    request_id = new_id("standard")
    answer = result(pipeline.post("StandardSync", ALWAYS_RAISES, {}, session_id=session_id, request_id=request_id))
    assert (answer["request_id"], len(answer["history"])) == (request_id, 1)
    assert len(pipeline.runs(request_id)) == 2


def test_a_poison_message_keeps_its_place_and_no_more(slow: Mapping[str, Future[dict[str, Any]]]) -> None:
    """Its runs come between those of the good ones, and it is parked with the reason."""
    day = slow["poison_day"].result(120)
    runs = day["runs"]
    assert [len(runs[name]) for name in ("good", "poison", "later")] == [1, 5, 1]
    assert runs["good"][0]["ended"] <= runs["poison"][0]["began"]
    assert runs["poison"][-1]["began"] < runs["later"][0]["began"]
    assert failure(day["failed"]) == "the agent failed; its log has the type and place of the error"
    assert result(day["later"])
    attributes = {name: value["StringValue"] for name, value in day["parked"]["MessageAttributes"].items()}
    assert attributes["dead_reason"] == "the agent failed; its log has the type and place of the error"
    assert json.loads(day["parked"]["Body"])["prompt"] == "SECRET prompt"
    assert (day["told"]["outcome"], day["told"]["times"]) == ("FAILED", 1)


def test_a_failed_request_is_redriven_and_ends_well(slow: Mapping[str, Future[dict[str, Any]]]) -> None:
    """Within the five minutes in which its queue drops what looks the same, and once."""
    day = slow["poison_day"].result(120)
    assert day["redriven"]["redrive"] >= 1
    assert result(day["cured"])["result"] == "SECRET cured"
    assert (day["told_again"]["outcome"], day["told_again"]["times"]) == ("DONE", 2)
    assert "status_code" not in day["redriven_again"]
    assert len(day["runs_in_the_end"]) == 6


def test_a_reply_of_before_a_redrive_changes_nothing(slow: Mapping[str, Future[dict[str, Any]]]) -> None:
    """Neither the failure nor the run that the redrive asked for."""
    day = slow["poison_day"].result(120)
    assert day["still_failed"].content == day["failed"].content
    assert is_not_final(day["while_running"], "PENDING")


def test_a_nameless_message_that_fails_is_answered_too(slow: Mapping[str, Future[dict[str, Any]]]) -> None:
    """Whoever sent it learns of the failure by the message's id."""
    day = slow["exhausted_day"].result(120)
    error = {"error": "the agent failed; its log has the type and place of the error"}
    assert (day["item"]["status"], json.loads(day["item"]["answer"])) == ("FAILED", error)
    assert day["told"]["outcome"] == "FAILED"


def test_answers_wait_while_nobody_handles_them(slow: Mapping[str, Future[dict[str, Any]]]) -> None:
    """A caller's wait ends in time, and it finds the answer when it comes back."""
    day = slow["down_day"].result(120)
    assert all(is_not_final(response, "PENDING") for response in [*day["waited"], day["polled"]])
    assert 27 < day["seconds"] < 35, "no response is a 504, so it was before API Gateway gives up"
    assert [result(response)["request_id"] for response in day["back"]] == day["ids"]
    assert day["runs"] == [1] * 5


def test_a_killed_run_is_repeated(slow: Mapping[str, Future[dict[str, Any]]]) -> None:
    """A minute later, when its lease is over; what waits in its session runs after it."""
    day = slow["killed_day"].result(150)
    assert result(day["answer"])
    assert 38 < day["seconds"] < 100, "of the 60 s of a lease, extended each 20 s, 40 are left at least"
    killed, repeated = day["runs"]
    assert "ended" not in killed
    assert repeated["ended"] <= day["after"][0]["began"]


def test_a_run_that_lambda_ends_is_repeated(slow: Mapping[str, Future[dict[str, Any]]]) -> None:
    """As one that was killed."""
    day = slow["timeout_day"].result(150)
    assert result(day["answer"])
    assert len(day["runs"]) == 2


def test_a_run_that_ends_its_process_is_repeated(slow: Mapping[str, Future[dict[str, Any]]]) -> None:
    """As one that was killed."""
    day = slow["exit_day"].result(150)
    assert result(day["answer"])
    assert len(day["runs"]) == 2


def test_a_run_longer_than_its_lease_is_left_alone(slow: Mapping[str, Future[dict[str, Any]]]) -> None:
    """It extends lease and message as it goes on: no second run, no second answer."""
    day = slow["long_day"].result(150)
    assert result(day["answer"])
    assert len(day["runs"]) == 1
    assert day["item"]["attempt"] == 1


def test_a_caller_gets_the_answer_in_each_mode(pipeline: Pipeline) -> None:
    """At once, or by following `Location`; the same one as often as it likes."""
    assert result(pipeline.post("Sync", request_id=new_id("r")))["result"] == "SECRET answer to SECRET prompt"
    assert result(pipeline.post("Async", headers={"Prefer": "wait=20"}))["result"] == "SECRET answer to SECRET prompt"
    for api, headers in (("Async", {}), ("Sync", {"Prefer": "respond-async"})):
        accepted = pipeline.post(api, {"sleep": 8}, headers=headers)
        assert is_not_final(accepted, "ACCEPTED")
        where = urljoin(str(accepted.url), accepted.headers["Location"])
        pending = pipeline.http.get(where)
        assert is_not_final(pending, "PENDING")
        assert urljoin(where, pending.headers["Location"]) == where
        answers = [pipeline.http.get(where, headers={"Prefer": "wait=20"}).text for _ in range(2)]
        assert answers[0] == answers[1]
        assert json.loads(answers[0])["request_id"] == accepted.json()["request_id"]


def test_no_log_has_a_prompt_an_answer_or_a_signature(pipeline: Pipeline, slow: object) -> None:
    """In any line of any function, after all of the above."""
    assert slow
    groups = [
        group["logGroupName"]
        for page in client("logs", pipeline.aws).get_paginator("describe_log_groups").paginate()
        for group in page["logGroups"]
        if "Queued" in group["logGroupName"] and "Tell" not in group["logGroupName"]  # a user's own
    ]
    lines = {group: log_lines(pipeline.aws, group) for group in groups}
    for handler in ("RequestHandler", "ResponseHandler", "DeadLetterHandler", "Redrive", "Agent"):
        assert any(found for group, found in lines.items() if handler in group), (
            f"the test would see nothing: {handler}"
        )
    text = json.dumps(lines)
    for secret in ("SECRET", "AAAA", "Traceback", "Signature", "AWS4-HMAC", "$ak_constructs_ref"):
        assert secret not in text
