"""The whole request protocol in one process: the real handlers, on a model of AWS, with faults at any call.

A handler's invocation is a `Task`. It runs at once, or in a thread of its own that stops before each call to AWS until
the schedule lets it go on; so any two invocations can be interleaved at any call, and each can be cut off there. What
must always hold is looked at in every call; `World.wrong` collects what did not.
"""

import json
import logging
import queue
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar

from botocore.exceptions import ClientError

from ak_lambda.agent_runner import queued
from ak_lambda.dead_letter_handler.dead_letters import DeadLetters
from ak_lambda.redrive.parked import Redrive
from ak_lambda.request_handler import core
from ak_lambda.request_handler.submissions import Submissions
from ak_lambda.response_handler.replies import Replies
from ak_lambda.shared import messages
from ak_lambda.shared.answers import Answer, refused
from ak_lambda.shared.fields import RefusedError
from ak_lambda.shared.messages import Received, ToSend
from ak_lambda.shared.protocol import DONE, FAILED, PENDING, Change, Item, Put
from ak_lambda.shared.record_batch import handled
from ak_lambda.shared.requests import Request
from ak_lambda.shared.requests_table import Written
from test.lambda_assets.events import rest
from test.lambda_assets.fakes import FakePayloads, FakeSessions, FakeTable
from test.lambda_assets.sqs_model import Clock, Message, ModelQueue, service_error

RETENTION = 3600
MAX_RECEIVES = 5
REPLY_MAX_RECEIVES = 4
AGENT_TIMEOUT = 120
HANDLER_TIMEOUT = 30
REDRIVE_TIMEOUT = 300
BEAT_SECONDS = 20
STARTS_MS = Clock().now_ms
LONGEST_REST_MS = 61_000
PARKED_SECONDS = 14 * 24 * 3600

GO = "go"
CUT = "cut"  # power is gone before the call
THROTTLE = "throttle"  # the call fails and does nothing
UNHEARD = "unheard"  # the call does what it should, and fails
TWICE = "twice"  # the call does what it should, and so does the SDK's retry, whose result counts
FAULTS = (CUT, THROTTLE, UNHEARD, TWICE)

ANSWER = "answer"
RAISE = "raise"
REFUSE = "refuse"
ERROR = "error"
OUTCOMES = (ANSWER, RAISE, REFUSE, ERROR)

SESSIONS = {"a": "alices-1", "b": "alices-1", "c": "alices-1", "d": "alices-2", "e": "alices-2"}
LARGE = "d"
ALONE = "e"
USERS = ("alice", "bob")

Result = TypeVar("Result")

_log = logging.getLogger("ak_constructs.test")


class PowerCut(BaseException):
    """The environment is gone: no handler may notice."""


class Task:
    """One invocation of a handler.

    Attributes:
        at: The call before which it waits.
        calls: How many calls it has made.
        ended: Whether it is over, by itself or cut off.
    """

    def __init__(self, world: "World", kind: str, seconds: int, body: Callable[["Task"], None]) -> None:
        self._world = world
        self._body = body
        self._plan: dict[int, str] = {}
        self._go: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._stopped: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self.kind = kind
        self.name = f"#{world.count_task()}"
        self.dies_at_ms = world.clock.now_ms + seconds * 1000
        self.outcome = ANSWER
        self.at = ""
        self.calls = 0
        self.ended = False
        self.heart: Heart | None = None
        self.held: Held | None = None
        self.message: Message | None = None
        self.faults: list[tuple[str, str]] = []

    def message_doubled(self) -> bool:
        """Whether its message was ever delivered while it was in flight, or after it was deleted."""
        return self.message is not None and self.message.doubled

    @property
    def at_once(self) -> bool:
        """Whether it runs without ever waiting."""
        return self._thread is None

    def run(self, plan: Mapping[int, str]) -> None:
        """Run to the end at once, with faults at the calls of these numbers."""
        self._plan = dict(plan)
        before, self._world.current = self._world.current, self
        try:
            self._body(self)
        except PowerCut:
            self._world.note(f"cut {self.kind} at {self.at}")
        finally:
            self.ended = True
            self._world.current = before

    def start(self) -> None:
        """Run up to the first call."""
        self._thread = threading.Thread(target=self._threaded, daemon=True)
        self.step(GO)

    def step(self, fault: str) -> None:
        """Make the call before which this task waits, and run up to the next."""
        if self.ended:
            return
        before, self._world.current = self._world.current, self
        if self._thread is not None and self._thread.ident is None:
            self._thread.start()
        else:
            self._go.put(fault)
        self._stopped.get()
        self._world.current = before

    def stop(self, at: str) -> str:
        """Wait before a call; say which fault it meets."""
        self.at = at
        number, self.calls = self.calls, self.calls + 1
        if self._thread is None:
            fault = self._plan.get(number, GO)
        else:
            self._stopped.put(None)
            fault = self._go.get()
        number = self._world.calls
        self._world.calls += 1
        if fault == GO:
            fault = self._world.faults.get(number, GO)
        self._world.story.append(
            f"{self._world.clock.now_ms - STARTS_MS:>9} ms  {self.name} {self.kind}: {at}, {fault}"
        )
        self.faults.append((at, fault))
        if fault == CUT:
            raise PowerCut
        return fault

    def _threaded(self) -> None:
        try:
            self._body(self)
        except PowerCut:
            self._world.note(f"cut {self.kind} at {self.at}")
        except BaseException as error:  # noqa: BLE001 - the schedule's thread reports it
            self._world.wrong.append(f"{self.kind} raised {error!r}")
        finally:
            self.ended = True
            self._stopped.put(None)


class Held:
    """A run that holds a lease, or did.

    Attributes:
        until: When the lease ends, as far as this run's own changes say.
        running: Whether the agent is at work.
        sound: Whether all is as a healthy run's: its message not delivered twice, no beat of its own failed.
    """

    def __init__(self, task: Task, item: Item) -> None:
        self.task = task
        self.request_id: str = item["request_id"]
        self.session_id: str = item["session_id"]
        self.attempt: int = item["attempt"]
        self.redrives: int = item["redrives"]
        self.until: int = item["lease_until"]
        self.running = True
        self.sound = not task.message_doubled()

    @property
    def alive(self) -> bool:
        """Whether the agent is at work."""
        return self.running and not self.task.ended


class Heart:
    """`Heartbeat` without a thread: it beats when the world's clock or the schedule says so."""

    world: "World"

    def __init__(self, beat: Callable[[str | None], bool]) -> None:
        self._beat = beat
        self._text: str | None = None
        self.going_on = True
        self.stalled = False
        self.next_ms = 0

    def __enter__(self) -> Self:
        task = self.world.running()
        task.heart = self
        self.next_ms = self.world.clock.now_ms
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        while kind is not PowerCut and any(each.kind == "beat" and each.heart is self for each in self.world.tasks):
            self.world.running().stop("join")
        self.going_on = False

    def carry(self, text: str) -> None:
        """Let the next beat carry a text."""
        self._text = text

    def beat(self) -> None:
        """Beat once, as the real one does."""
        text, self._text = self._text, None
        self.next_ms = self.world.clock.now_ms + BEAT_SECONDS * 1000
        try:
            self.going_on = self._beat(text) and self.going_on
        except Exception:  # noqa: BLE001 - as the real one
            self._text = self._text or text
            self.next_ms = self.world.clock.now_ms + 2000


class WorldTable:
    """The requests table, which looks at every change."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._table = FakeTable()

    def read(self, request_id: str, *, now: int) -> Item | None:
        """Read after the schedule has let it."""
        return self._world.call("read", lambda: self._table.read(request_id, now=now))

    def write(self, change: Change, *, now: int) -> Written:
        """Write after the schedule has let it."""
        return self._world.call("write", lambda: self._write(change, now))

    def live(self, request_id: str) -> Item | None:
        """Read without anybody's noticing."""
        return self._table.read(request_id, now=self._world.clock.now)

    def _write(self, change: Change, now: int) -> Written:
        request_id = change.item["request_id"] if isinstance(change, Put) else change.request_id
        old = self.live(request_id)
        written = self._table.write(change, now=now)
        if written.done and written.item is not None:
            self._world.look_at_change(old, written.item, is_put=isinstance(change, Put))
        return written


class WorldQueue:
    """A queue as one handler sees it."""

    def __init__(self, world: "World", model: ModelQueue) -> None:
        self._world = world
        self._model = model

    def send(self, message: ToSend) -> None:
        """Send after the schedule has let it."""
        self._world.call(f"send {self._model.name}", lambda: self._model.send(message))

    def hide(self, receipt_handle: str, seconds: int) -> None:
        """Hide after the schedule has let it."""
        self._world.call(f"hide {self._model.name}", lambda: self._model.hide(receipt_handle, seconds))

    def receive(self, most: int, *, hold_seconds: int) -> list[dict[str, Any]]:
        """Receive after the schedule has let it."""
        return self._world.call(
            f"receive {self._model.name}", lambda: self._model.receive(most, hold_seconds=hold_seconds)
        )

    def delete(self, receipt_handle: str) -> None:
        """Delete after the schedule has let it."""
        self._world.call(f"delete {self._model.name}", lambda: self._model.delete(receipt_handle))


class WorldPayloads(FakePayloads):
    """A bucket to which every body is too large that says so."""

    def __init__(self, world: "World") -> None:
        super().__init__()
        self._world = world

    def fitted(self, body: str, most_bytes: int, *, folder: str, session_id: str) -> str:
        """Keep what says that it is large."""
        if "large" not in body or messages.referenced(body) is not None:
            return super().fitted(body, most_bytes, folder=folder, session_id=session_id)
        keep = super().fitted
        return self._world.call("put payload", lambda: keep(body, 0, folder=folder, session_id=session_id))

    def whole(self, body: str, *, folder: str) -> str:
        """Give what was kept."""
        give = super().whole
        if messages.referenced(body) is None:
            return body
        return self._world.call("get payload", lambda: give(body, folder=folder))


class WorldSessions(FakeSessions):
    """The owners of sessions."""

    def __init__(self, world: "World") -> None:
        super().__init__()
        self._world = world

    def claim(self, session_id: str, user_id: str | None, *, now: int, new: bool = False) -> bool:
        """Claim after the schedule has let it."""
        own = super().claim
        return self._world.call("claim", lambda: own(session_id, user_id, now=now, new=new))


class World:
    """Everything there is, and what must always hold.

    Attributes:
        faults: Which calls of all, counted from 0, meet a fault besides those that the schedule names.
        calls: How many calls there were.
        tasks: The invocations that wait before a call.
        reached: What has happened how often: transitions, decisions, cuts.
        wrong: What should not have happened.
        told: Which answers those have been told who asked to be told.
        answers: The final answer that each request's callers have seen, with the request's age when they saw it.
    """

    def __init__(self, faults: Mapping[int, str] | None = None) -> None:
        self.faults = dict(faults or {})
        self.calls = 0
        self.clock = Clock()
        self.current: Task | None = None
        self.tasks: list[Task] = []
        self.reached: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.runs: dict[str, Held] = {}
        self._ages: Counter[str] = Counter()
        self._accepted: dict[str, int] = {}
        self.told: set[tuple[str, str]] = set()
        self.answers: dict[str, tuple[int, str]] = {}
        self._holders: list[Held] = []
        self._ids = 0
        self._tasks = 0
        self.story: list[str] = []
        self.table = WorldTable(self)
        self.payloads = WorldPayloads(self)
        self._define_queues()
        self._define_handlers()

    def _define_queues(self) -> None:
        def define(name: str, seconds: int, **more: Any) -> ModelQueue:  # noqa: ANN401
            queue = {"retention_seconds": PARKED_SECONDS, **more}
            return ModelQueue(self.clock, name, visibility_seconds=seconds, **queue)

        self.parked = define("parked", 6 * HANDLER_TIMEOUT, fifo=False)
        self.parked_replies = define("parked replies", 30)
        self.dead = define("dead", 6 * HANDLER_TIMEOUT)
        self.replies = define(
            "replies", 6 * HANDLER_TIMEOUT, max_receives=REPLY_MAX_RECEIVES, dead_letters=self.parked_replies
        )
        self.requests = define(
            "requests",
            6 * AGENT_TIMEOUT,
            retention_seconds=RETENTION,
            max_receives=MAX_RECEIVES,
            dead_letters=self.dead,
        )

    def _define_handlers(self) -> None:
        def now_ms() -> int:
            return self.clock.now_ms

        own: dict[str, Any] = {"table": self.table, "now_ms": now_ms, "retention": RETENTION}
        sides = {name: WorldQueue(self, getattr(self, name)) for name in ("requests", "replies", "parked", "dead")}
        to_agent: dict[str, Any] = {**own, "requests": sides["requests"], "payloads": self.payloads}
        back: dict[str, Any] = {**own, "replies": sides["replies"]}
        self.sides = sides
        self.submissions = Submissions(
            **to_agent, sessions=WorldSessions(self), default_wait_ms=0, takes_large=True, rest=self._rest
        )
        self.queued_runs = queued.QueuedRuns(**{**to_agent, **back}, max_receives=MAX_RECEIVES, run=self._run_agent)
        self.reply_handler = Replies(**back, payloads=self.payloads, reply_handlers=[self._tell])  # type: ignore[arg-type]
        dead: dict[str, Any] = {**back, "dead_letters": sides["dead"], "parked": sides["parked"]}
        del dead["retention"]
        self.dead_letters = DeadLetters(**dead)
        both: dict[str, Any] = {**back, "requests": sides["requests"], "parked": sides["parked"]}
        self.redrives = Redrive(
            **both,
            parked_replies=WorldQueue(self, self.parked_replies),  # type: ignore[arg-type]
            new_id=self._new_id,
            has_time=lambda: self.running().dies_at_ms > self.clock.now_ms + 15_000,
        )

    # What handlers call.

    def count_task(self) -> int:
        """Number the invocations."""
        self._tasks += 1
        return self._tasks

    def running(self) -> Task:
        """Give the task that runs."""
        assert self.current is not None
        return self.current

    def note(self, what: str) -> None:
        """Remember that something has happened."""
        self.reached[what] += 1

    def check(self, holds: object, what: str) -> None:
        """Remember what should not have happened."""
        if not holds:
            self.wrong.append(what)

    def call(self, name: str, action: Callable[[], Result]) -> Result:
        """Make a call to AWS, as the schedule lets it."""
        fault = self.running().stop(name)
        if fault == THROTTLE:
            raise service_error("ThrottlingException")
        result = action()
        if fault == UNHEARD:
            raise service_error("RequestTimeout")
        return action() if fault == TWICE else result

    def _rest(self, seconds: float) -> None:
        self.running().stop("rest")
        self.advance(int(seconds * 1000) + 1)

    def _tell(self, answer: Mapping[str, Any]) -> None:
        def take() -> None:
            self.check(answer["status"] != PENDING, f"{answer['request_id']}: told though it is pending again")
            self.told.add((answer["request_id"], answer["answer"]))

        self.call("tell", take)

    def _new_id(self) -> str:
        self._ids += 1
        return f"id-{self._ids}"

    def _run_agent(self, request: Request, tell: Callable[[str], None], _made_ms: int, _feed: object) -> Answer:
        task = self.running()
        held = task.held
        assert held is not None
        number = len(self.runs) + 1
        marker = f"run-{number}"
        self.runs[marker] = held
        tell(marker)
        self._look_at_prompt(request)
        beat = self.beat_task(task) if task.at_once else None
        if beat is not None:
            beat.run({})
        try:
            task.stop("agent")
        finally:
            held.running = False
        outcome = task.outcome
        self.note(f"agent {outcome}")
        said = {"result": f"{marker} {request.prompt}", "session_id": request.session_id}
        if outcome == RAISE:
            return Answer(502, {"status": "FAILED", "error": marker}, reason=marker, may_pass=True)
        if outcome == ERROR:
            return Answer(502, {"status": "FAILED", "error": marker}, reason=marker)
        return Answer(400, {"error": f"{marker} {request.prompt}"}) if outcome == REFUSE else Answer(200, said)

    # What must always hold.

    def _look_at_prompt(self, request: Request) -> None:
        item = self.table.live(request.request_id)
        if item is not None and "body_hash" in item:
            self.check(
                request.prompt.startswith(f"{item['user_id']} {request.request_id} "),
                f"{request.request_id}: the agent was asked {request.prompt!r} for {item['user_id']}",
            )
            self.check(request.user_id == item["user_id"], f"{request.request_id}: run for {request.user_id}")

    def look_at_change(self, old: Item | None, new: Item, *, is_put: bool) -> None:
        """Hold a change against the protocol's own table of transitions."""
        request_id, kind = new["request_id"], self.running().kind
        now = self.clock.now
        if old is None:
            self.check(is_put, f"{request_id}: changed after it had expired")
            self._ages[request_id] += 1
            self.note(f"put by {kind}")
            if kind == "run":
                self._accepted[request_id] = self._ages[request_id]
                self._leased(new)
            return
        self.check(not is_put, f"{request_id}: put over a live one")
        what = f"{old['status']} -> {new['status']} by {kind}"
        self.note(what)
        self.check(new["attempt"] >= old["attempt"] and new["redrives"] >= old["redrives"], f"{request_id}: went back")
        self.check(new["expiry_time"] > now, f"{request_id}: written as expired")
        if old["status"] != PENDING:
            self.check(old["status"] == FAILED and kind == "redrive", f"{request_id}: {what}")
            self._ages[request_id] += 1
            self.check(new["redrives"] == old["redrives"] + 1, f"{request_id}: redriven without a number")
        elif new["status"] != PENDING:
            self.check(kind in {"reply", "submit", "poll"}, f"{request_id}: {what}")
            self._look_at_finish(old, new)
        elif kind == "run" and new["attempt"] > old["attempt"]:
            self._leased(new)
        elif kind in {"beat", "run"}:
            self.check(new["attempt"] == old["attempt"], f"{request_id}: {kind} changed the attempt")
            for each in self._holders:
                if each.request_id == request_id and each.attempt == new["attempt"]:
                    each.until = new["lease_until"]
        else:
            self.check(False, f"{request_id}: {what}")  # noqa: FBT003

    def _leased(self, new: Item) -> None:
        task = self.running()
        held = Held(task, new)
        for other in self._holders:
            if not other.alive or other.task is task or other.redrives != held.redrives:
                continue
            if other.request_id == held.request_id:
                self.check(other.until <= self.clock.now, f"{held.request_id}: two runs hold the lease")
            elif other.session_id == held.session_id and other.sound and held.sound and other.redrives == 0:
                self.check(
                    other.until <= self.clock.now,
                    f"{held.request_id} runs while {other.request_id} of its session does",
                )
        task.held = held
        self._holders = [each for each in self._holders if not each.task.ended] + [held]

    def _look_at_finish(self, old: Item, new: Item) -> None:
        request_id = new["request_id"]
        body = new["answer"]
        if "expired" in body and self.running().kind != "reply":
            self.note("expired")
            self.check(old["pending_until"] <= self.clock.now, f"{request_id}: expired too early")
            return
        if messages.referenced(body) is not None:
            body = FakePayloads.whole(self.payloads, body, folder="answers/")
        said = json.loads(body)
        text = str(said.get("result") or said.get("error"))
        run = self.runs.get(text.partition(" ")[0])
        if new["status"] == DONE:
            self.check(run is not None, f"{request_id}: an answer that no run gave: {body}")
        if run is not None:
            self.check(
                (run.request_id, run.session_id, run.redrives) == (request_id, new["session_id"], new["redrives"]),
                f"{request_id} of redrive {new['redrives']} got the answer of {run.request_id}, {run.redrives}: {body}",
            )

    def _acknowledge(self, model: ModelQueue, event: Mapping[str, Any]) -> None:
        """Look whether a message may go, then let it go."""
        message = messages.received(event)
        item = self.table.live(message.request_id)
        if model is self.dead:
            self.note(f"dead letter: {_state(item, message)}")
        own = item is not None and item["session_id"] == message.session_id
        if item is not None and own and item["status"] == PENDING and item["redrives"] <= (message.redrives or 0):
            replied = any(
                each.sent.attributes.get("request_id") == message.request_id
                and each.sent.attributes.get("redrives", "0") == str(item["redrives"])
                and each.sent_at_ms >= item["created_at"]
                for each in self.replies.accepted
            )
            if model is self.requests or model is self.dead:
                self.check(replied, f"{message.request_id}: {model.name} let go of it without an answer")
            elif model is self.replies:
                sent_ms = next(each.sent_at_ms for each in model.accepted if each.message_id == message.message_id)
                due = item["redrives"] == message.redrives and sent_ms >= item["created_at"]
                self.check(not due, f"{message.request_id}: a reply changed nothing")
        self.call(f"delete {model.name}", lambda: model.delete(str(event["receiptHandle"])))

    # Invocations.

    def send_alone(self) -> None:
        """Send a request as somebody does who writes to the queue and not to the table."""
        body = json.dumps({"prompt": f"alice {ALONE} small"})
        message = messages.request_message(
            body=body, request_id=ALONE, session_id=SESSIONS[ALONE], user_id="alice", redrives=0
        )
        self.requests.send(message)

    def submit_task(self, request_id: str, user: str, *, other: bool = False, wait: int = 0) -> Task:
        """Make an invocation that submits a request, or another one with the same id."""
        session = SESSIONS[request_id] if user == "alice" else "bobs"
        variant = "other" if other else "large" if request_id == LARGE else "small"
        body = {
            "prompt": f"{user} {request_id} {variant}",
            "session_id": session,
            "request_id": request_id,
        }

        def answer() -> Answer:
            event = _event(user, body, wait, self.clock.now_ms)
            return self.submissions.submit(event, core.submission(event, self._new_id))

        return self._call_of("submit", request_id, user, variant, answer)

    def poll_task(self, request_id: str, user: str, *, wait: int = 0) -> Task:
        """Make an invocation that looks a request up."""

        def answer() -> Answer:
            event = _event(user, None, wait, self.clock.now_ms)
            return self.submissions.look_up(event, {"request_id": request_id})

        return self._call_of("poll", request_id, user, None, answer)

    def _call_of(
        self, kind: str, request_id: str, user: str, variant: str | None, answer: Callable[[], Answer]
    ) -> Task:
        def body(task: Task) -> None:
            before = self.answers.get(request_id)
            age = self._ages[request_id]
            began = self.table.live(request_id)
            owner = None if began is None else began.get("user_id")
            try:
                given = answer()
            except RefusedError as error:
                given = refused(error)
            except ClientError:
                given = core.unavailable(request_id, "throttled")
            task.stop("return")
            self.note(f"{kind} {given.status}")
            self._look_at_response(request_id, user, variant, age if began else None, owner, given, before)

        return Task(self, kind, HANDLER_TIMEOUT, body)

    def _look_at_response(  # noqa: PLR0917
        self,
        request_id: str,
        user: str,
        variant: str | None,
        age: int | None,
        owner: str | None,
        given: Answer,
        before: tuple[int, str] | None,
    ) -> None:
        item = self.table.live(request_id)
        said = f"{request_id}: {user} got {given.status} {given.text}"
        if item is None or given.status in {403, 503}:
            return
        unchanged = age is not None and age == self._ages[request_id]
        own = item.get("user_id") == user
        if given.status == 202 and variant is not None:
            self._accepted[request_id] = self._ages[request_id]
        if unchanged and not own:
            self.check(given.status in {404, 409} and owner != user, said)
        if not unchanged or not own or given.status == 409:
            return
        self.check(given.status != 404, said)
        final = f"{given.status} {given.text}"
        if before is not None and before[0] == age:
            self.check(before[1] == final, f"{said} after {before[1]}")
        if given.status != 202:
            self.answers[request_id] = (self._ages[request_id], final)

    def delivery_task(self, model: ModelQueue, message: Message, *, again: bool = False) -> Task:
        """Make an invocation by which an event source mapping hands a message over."""
        event = model.take_again(message) if again else model.take(message)
        kinds: dict[str, tuple[str, Callable[[Mapping[str, Any]], object], Any, int]] = {
            "requests": ("run", self.queued_runs.handle, self.sides["requests"], AGENT_TIMEOUT),
            "replies": ("reply", self.reply_handler.handle, self.sides["replies"], HANDLER_TIMEOUT),
            "dead": ("dead", self.dead_letters.handle, self.sides["dead"], HANDLER_TIMEOUT),
        }
        kind, handle, queue, seconds = kinds[model.name]

        def body(task: Task) -> None:
            if handled([event], handle, queue, _log)["batchItemFailures"]:
                self.note(f"{kind} kept")
                left_ms = message.visible_at_ms - self.clock.now_ms
                unheard = any(fault != GO and at.startswith("hide") for at, fault in task.faults)
                self.check(
                    unheard
                    or message.doubled
                    or left_ms <= LONGEST_REST_MS
                    or event["receiptHandle"] != message.handles[-1],
                    f"{message.message_id}: a failure that the {kind} saw comes back only after {left_ms} ms",
                )
                return
            self.note(f"{kind} let go")
            try:
                self._acknowledge(model, event)
            except ClientError:
                self.note(f"{kind} not deleted")

        task = Task(self, kind, seconds, body)
        task.message = message
        if again:
            for holder in self._holders:
                holder.sound = holder.sound and holder.session_id != message.sent.group
        return task

    def redrive_task(self, queue: str = "requests", most: int = 100) -> Task:
        """Make an invocation by which somebody redrives what is parked."""

        def body(_task: Task) -> None:
            try:
                counts = self.redrives.run(queue, most)
            except ClientError:
                self.note("redrive failed")
            else:
                for what in counts:
                    self.note(f"redrive: {queue} {what}")

        return Task(self, "redrive", REDRIVE_TIMEOUT, body)

    def beat_task(self, task: Task) -> Task | None:
        """Make a beat of a run's heart."""
        heart = task.heart
        if heart is None or not heart.going_on or task.ended or any(each.heart is heart for each in self.beats()):
            return None

        def body(beat: Task) -> None:
            began = self.clock.now
            heart.beat()
            held = task.held
            item = None if held is None else self.table.live(held.request_id)
            if held is not None and item is not None and all(fault == GO for _, fault in beat.faults):
                lost = item["status"] != PENDING or item["attempt"] != held.attempt
                self.check(
                    lost or held.until > began + BEAT_SECONDS, f"{held.request_id}: a healthy beat did not extend"
                )

        beat = Task(self, "beat", AGENT_TIMEOUT, body)
        beat.heart, beat.dies_at_ms = heart, task.dies_at_ms
        return beat

    def beats(self) -> list[Task]:
        """Give the beats that wait before a call."""
        return [task for task in self.tasks if task.kind == "beat" and not task.ended]

    # Time.

    def cut(self, task: Task) -> None:
        """End a task where it is, with its heart."""
        for each in [task, *(beat for beat in self.beats() if beat.heart is task.heart and task.kind == "run")]:
            each.step(CUT)
        self.tidy()

    def tidy(self) -> None:
        """Forget the tasks that are over."""
        self.tasks = [task for task in self.tasks if not task.ended]

    def advance(self, ms: int) -> None:
        """Let time pass: hearts beat, and what takes too long is cut off."""
        end_ms = self.clock.now_ms + ms
        while True:
            running = [task for task in self.tasks if not task.ended and task is not self.current]
            hearts = [task for task in running if task.kind == "run" and task.heart and task.heart.going_on]
            due = [(task.dies_at_ms, 0, index) for index, task in enumerate(running)]
            due += [(task.heart.next_ms, 1, index) for index, task in enumerate(hearts) if task.heart]
            soonest = min(due, default=(end_ms + 1, 0, 0))
            if soonest[0] > end_ms:
                break
            self.clock.now_ms = max(self.clock.now_ms, soonest[0])
            if soonest[1] == 0:
                self.cut(running[soonest[2]])
            else:
                self._beat(hearts[soonest[2]])
        self.clock.now_ms = end_ms

    def _beat(self, task: Task) -> None:
        assert task.heart is not None
        beat = None if task.heart.stalled else self.beat_task(task)
        if beat is None:
            task.heart.next_ms += 2000
            if task.held is not None:
                task.held.sound = False
        else:
            beat.run({})

    # The end.

    def finish(self, task: Task) -> None:
        """Let a task go on to its end."""
        for _ in range(200):
            if task.ended:
                break
            if task.at == "join":
                for beat in self.beats():
                    self.finish(beat)
            task.step(GO)
        self.tidy()

    def settle(self) -> None:
        """Let everything go well from now on, until no queue has anything to deliver."""
        for task in list(self.tasks):
            self.finish(task)
        for _ in range(400):
            if not self.work(ANSWER):
                return
        self.check(False, "it never settles")  # noqa: FBT003

    def work(self, outcome: str) -> bool:
        """Deliver what can be delivered, or wait until something can; say whether there is anything left."""
        models = (self.requests, self.replies, self.dead)
        ready = [(model, message) for model in models for message in model.receivable()]
        for model, message in ready:
            task = self.delivery_task(model, message)
            task.outcome = outcome
            task.run({})
        if ready:
            self.advance(100)
            return True
        now_ms = self.clock.now_ms
        times = [each.visible_at_ms for model in models for each in model.waiting if each.visible_at_ms > now_ms]
        self.advance(min(times, default=now_ms) - now_ms)
        return bool(times)

    def look_at_the_end(self) -> None:
        """Hold what is left against what was promised, once somebody has redriven the replies that are parked."""
        self.advance(6 * HANDLER_TIMEOUT * 1000)
        self.redrive_task("replies", 1000).run({})
        self.settle()
        self._poll_all()
        for request_id, age in self._accepted.items():
            item = self.table.live(request_id) if age == self._ages[request_id] else None
            self.check(item is None or item["status"] != PENDING, f"{request_id}: no answer: {item}")
        parked = {each.sent.attributes["request_id"] for each in self.parked.accepted}
        by_dead_letters = {
            each.message_id for each in self.replies.accepted if each.sent.deduplication_id.endswith(".dead")
        }
        for request_id in SESSIONS:
            item = self.table.live(request_id)
            if item is not None and item["status"] == FAILED and item.get("answered_by") in by_dead_letters:
                self.check(request_id in parked, f"{request_id}: failed, and nothing is parked")
        self._redrive_all()
        by_replies = {each.message_id for each in self.replies.accepted}
        for request_id in SESSIONS:
            item = self.table.live(request_id)
            if item is not None and item.get("answered_by") in by_replies:
                self.check((request_id, item["answer"]) in self.told, f"{request_id}: nobody was told: {item}")
        self.advance((RETENTION + 1) * 1000)
        self._poll_all()
        for request_id in SESSIONS:
            item = self.table.live(request_id)
            self.check(item is None or item["status"] != PENDING, f"{request_id}: pending for ever: {item}")

    def _poll_all(self) -> None:
        for request_id in SESSIONS:
            for user in USERS:
                self.poll_task(request_id, user).run({})

    def _redrive_all(self) -> None:
        self.advance(6 * HANDLER_TIMEOUT * 1000)
        self.parked.pass_time()
        waiting = {(each.sent.attributes["request_id"], each.sent.group) for each in self.parked.waiting}
        items = {each: self.table.live(each[0]) or {} for each in sorted(waiting)}
        failed = [
            each
            for (each, session_id), item in items.items()
            if item.get("status") == FAILED and item["session_id"] == session_id
        ]
        self.redrive_task(most=1000).run({})
        self.settle()
        for request_id in failed:
            item = self.table.live(request_id)
            self.check(item is not None and item["status"] == DONE, f"{request_id}: redriven, and then: {item}")


def _state(item: Item | None, message: Received) -> str:
    """Say how a dead letter's request stands."""
    if item is None:
        return "forgotten"
    if item["session_id"] != message.session_id:
        return "another's"
    return "outdated" if item["redrives"] > (message.redrives or 0) else str(item["status"])


def _event(user: str, body: Mapping[str, Any] | None, wait: int, now_ms: int) -> dict[str, Any]:
    event = rest(body, rule="lambda:user")
    event["requestContext"] = {**event["requestContext"], "authorizer": {"user": user}, "requestTimeEpoch": now_ms}
    event["headers"] = {"Prefer": f"wait={wait}"} if wait else {}
    return event
