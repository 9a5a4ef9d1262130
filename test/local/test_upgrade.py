"""From the released version to this one with people in the middle of what they do; and then away for good."""

import contextlib
import functools
import json
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import jmespath  # type: ignore[import-untyped]
import pytest
from websockets import Subprotocol
from websockets.sync.client import connect

from ak_constructs.local.emulator import Emulator
from ak_constructs.local.logs import client
from ak_constructs.local.signing import CREDENTIALS, signed_headers
from examples.local.issuer import Issuer, issuer
from test.contract import leaving
from test.contract.replacements import MADE_ANEW, complaints
from test.local import upgrading
from test.local.queued_pipeline import new_id, until
from test.local.upgrading import STACKS, Assembly, everything, items, resources
from test.local.websocket_talk import Talk

pytestmark = pytest.mark.local
TABLES = "AWS::DynamoDB::GlobalTable"
TURNS = ("one", "two", "three")
# Which of the functions that pass messages on are the released ones: whoever is updated first meets old and new.
FRONT, RUNNER, BACK = ("RequestHandler", "MessageHandler", "ConnectionHandler"), ("Agent",), ("QueueResponseHandler",)


@dataclass
class Stacks:
    """The deployed stacks, and what their users do."""

    aws: Emulator
    work: Path
    signer: Issuer
    book: Path
    http: httpx.Client
    there: set[tuple[str, str]]
    assemblies: dict[str, Assembly] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    before: dict[str, dict[str, tuple[str, str]]] = field(default_factory=dict)
    rows: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    configurations: dict[str, dict[str, Any]] = field(default_factory=dict)
    during: list[str] = field(default_factory=list)
    done: dict[str, bytes] = field(default_factory=dict)
    talk: Talk | None = None

    def call(self, output: str, method: str, rest: str = "", **message: object) -> httpx.Response:
        """Call an API that wants signatures."""
        url = self.aws.reachable(self.outputs[output]) + rest
        body = json.dumps({"book": str(self.book), **message}).encode() if message else b""
        headers = signed_headers(method, url, body, credentials=CREDENTIALS, region="us-east-1")
        return self.http.request(method, url, content=body, headers=headers)

    def ask(self, prompt: str, session_id: str) -> str:
        """Ask where the answer is waited for."""
        response = self.call("WaitUrl", "POST", prompt=prompt, session_id=session_id)
        assert response.status_code == 200, response.text
        return str(response.json()["result"])

    def submit(self, name: str, **message: object) -> str:
        """Submit a request to be answered later; as often as need be, since it is the same request."""
        request_id = new_id(name)
        asked: dict[str, Any] = {"prompt": name, "session_id": new_id("s"), **message, "request_id": request_id}

        def accepted() -> bool:
            return self.call("AcceptUrl", "POST", **asked).status_code == httpx.codes.ACCEPTED

        until(accepted)
        return request_id

    def poll(self, request_id: str) -> httpx.Response:
        """Ask for an answer."""
        return self.call("AcceptUrl", "GET", f"/{request_id}")

    def answer(self, request_id: str) -> httpx.Response:
        """Poll until the answer is final."""

        def final() -> httpx.Response | None:
            response = self.poll(request_id)
            return None if response.status_code == httpx.codes.ACCEPTED else response

        return until(final)

    @contextlib.contextmanager
    def connected(self) -> Iterator[Talk]:
        """Connect as a user with a token."""
        token = self.signer.token("alice", "chat")
        offered = [Subprotocol("bearer"), Subprotocol(token)]
        url = self.aws.reachable(self.outputs["Url"])
        with connect(url, compression=None, subprotocols=offered, max_queue=None) as socket:  # it is read now and then
            yield Talk(socket)

    def runs(self, request_id: str) -> int:
        """Say how often the agent was asked."""
        return (self.book / "runs").read_text(encoding="utf-8").split().count(request_id)

    def functions(self) -> dict[str, dict[str, Any]]:
        """Give the configuration of each function by its physical id."""
        pages = client("lambda", self.aws).get_paginator("list_functions").paginate()
        return {each["FunctionName"]: each for page in pages for each in page["Functions"]}

    def run_with(self, version: str, *names: str) -> None:
        """Have those functions whose ids end so run the code of a version, with its environment."""
        lambda_ = client("lambda", self.aws)
        switched = set()
        for stack in ("QueuedPipeline", "WebSocketChat"):
            for logical, (type_, name) in resources(self.aws, stack).items():
                called = {each for each in names if logical[:-8].endswith(each)}
                if type_ == "AWS::Lambda::Function" and called:
                    was = self.configurations[version][name]
                    code = self.assemblies[version].code_of(stack, logical)
                    lambda_.update_function_code(FunctionName=name, **code)
                    found = lambda_.update_function_configuration(FunctionName=name, Environment=was["Environment"])
                    assert found["CodeSha256"] == was["CodeSha256"]
                    switched |= called
        assert switched == set(names)


@pytest.fixture(scope="module")
def stacks(aws: Emulator, work: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stacks]:
    """Deploy the released version, use it, and upgrade in the middle of that."""
    folder = tmp_path_factory.mktemp("upgrade")
    book = folder / "book"
    book.mkdir()
    with (
        issuer(folder) as signer,
        httpx.Client(timeout=60) as http,
        ThreadPoolExecutor(1) as beside,
    ):
        upgrading.write_app(folder / "app")
        found = Stacks(aws=aws, work=work, signer=signer, book=book, http=http, there=everything(aws))
        made = functools.partial(upgrading.synthesize, folder / "app", arguments=(signer.url, str(signer.authority)))
        found.assemblies["old"] = made(folder / "old", upgrading.released_wheel())
        new = beside.submit(made, folder / "new", None)
        found.outputs = upgrading.deploy(aws, work, found.assemblies["old"])
        with found.connected() as found.talk:
            use(found, found.talk)
            found.assemblies["new"] = new.result()
            upgrade(found)
            yield found


def use(stacks: Stacks, talk: Talk) -> None:
    """Leave something of each kind: conversations, an answer, a failure, what waits, a stream that goes on."""
    for name in ("held", "broken"):
        (stacks.book / name).touch()
    stacks.done = {"failed": stacks.submit("failed", broken=True).encode()}
    assert [stacks.ask(turn, "kept-session") for turn in TURNS] == [
        "said before: ",
        "said before: one",
        "said before: one, two",
    ]
    done = stacks.submit("done")
    stacks.done |= {"id": done.encode(), "answer": stacks.answer(done).content}
    for number in TURNS:  # the first is being run, the others wait for it in their queue
        stacks.done[number] = stacks.submit(number, held=True, session_id="held-session").encode()
    said = talk.chat("hello", session_id="talk-session", book=str(stacks.book))
    assert said[-1]["result"] == "said before: "
    for prompt in ("streamed", "next"):
        message = {"prompt": prompt, "session_id": "stream-session", "request_id": prompt}
        talk.send(route="chat", held=prompt == "streamed", book=str(stacks.book), **message)
    until(lambda: "delta" in talk.hear())
    failed = stacks.answer(stacks.done["failed"].decode())
    stacks.done["failure"] = failed.content
    assert failed.status_code >= 500


def upgrade(stacks: Stacks) -> None:
    """Deploy this version while people go on asking."""
    aws = stacks.aws
    stacks.before = {stack: resources(aws, stack) for stack in STACKS}
    tables = [name for each in stacks.before.values() for type_, name in each.values() if type_ == TABLES]
    stacks.rows = {table: items(aws, table) for table in tables}
    stacks.configurations["old"] = stacks.functions()
    ended = threading.Event()

    def go_on_asking() -> None:
        while not ended.wait(0.2):
            stacks.during.append(stacks.submit("during"))

    with ThreadPoolExecutor(1) as person:
        asking = person.submit(go_on_asking)
        try:
            upgrading.deploy(aws, stacks.work, stacks.assemblies["new"])
        finally:
            ended.set()
        asking.result()
    stacks.configurations["new"] = stacks.functions()


@pytest.fixture(scope="module")
def released(stacks: Stacks) -> Stacks:
    """Let what was held go on, now that all functions are this version's."""
    (stacks.book / "held").unlink()
    return stacks


def test_an_upgrade_replaces_nothing(stacks: Stacks) -> None:
    """By the templates, and by what is there: each resource is the one that it was, each item of a table is there."""
    old, new = stacks.assemblies["old"], stacks.assemblies["new"]
    assert old.code_of("QueuedPipeline", "QueueRedrive6751560E") != new.code_of(
        "QueuedPipeline", "QueueRedrive6751560E"
    )
    for stack in STACKS:
        assert complaints(old.template(stack), new.template(stack)) == [], stack
        after = resources(stacks.aws, stack)
        for name, (type_, physical_id) in stacks.before[stack].items():
            assert type_ in MADE_ANEW or after[name] == (type_, physical_id)
    assert len(stacks.rows) == 5
    for table, rows in stacks.rows.items():
        assert rows, table
        assert {key(row) for row in rows} <= {key(row) for row in items(stacks.aws, table)}, table


@pytest.mark.parametrize("table", ["Sessions", "Requests"])
def test_items_have_the_documented_attributes(stacks: Stacks, table: str) -> None:
    """Which is what somebody who exports them gets."""
    found = {name for each, rows in stacks.rows.items() if table in each for row in rows for name in row}
    assert found == leaving.attributes(table) - {"piece"}  # of another mode


def key(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Give the key of an item of any of the tables."""
    names = ("request_id", "session_id", "key", "user_id", "connection_id")
    return tuple(row[name]["S"] for name in names if name in row)


def test_what_ran_and_what_waited_is_answered_once(released: Stacks) -> None:
    """In the order of its session: one run of the released code, and messages that the released code sent."""
    ids = [released.done[number].decode() for number in TURNS]
    answers = [released.answer(request_id).json()["result"].replace(".", "") for request_id in ids]
    assert answers == ["said before: ", "said before: one", "said before: one, two"]
    assert [released.runs(request_id) for request_id in ids] == [1, 1, 1]


def test_who_asked_during_the_deployment_is_answered_once(released: Stacks) -> None:
    """Whichever version the functions had that the request met."""
    assert len(released.during) >= 3
    for request_id in released.during:
        assert released.answer(request_id).json()["result"] == "said before: "
        assert released.runs(request_id) == 1


def test_a_stream_and_its_connection_go_on(released: Stacks) -> None:
    """Each answer comes once, pieces without a gap; then the same connection asks something new."""
    talk = released.talk
    assert talk
    frames = talk.until("CHAT_RESPONSE")
    frames += talk.until("CHAT_RESPONSE")
    answers = {frame["request_id"]: frame["result"] for frame in frames if frame["type"] == "CHAT_RESPONSE"}
    assert answers["next"] == "said before: streamed"
    pieces = [frame for frame in frames if frame["type"] == "STREAM_CHUNK" and frame["request_id"] == "streamed"]
    numbers = [piece["seq"] for piece in pieces]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert answers["streamed"].endswith("".join(piece.get("delta", "") for piece in pieces))
    said = talk.chat("bye", session_id="talk-session", book=str(released.book))
    assert said[-1]["result"] == "said before: hello"
    assert talk.is_quiet()
    assert [released.runs(request_id) for request_id in ("streamed", "next")] == [1, 1]


def test_old_answers_can_be_read_and_old_conversations_go_on(released: Stacks) -> None:
    """An answer, a failure, the turns of before."""
    assert released.poll(released.done["id"].decode()).content == released.done["answer"]
    assert released.poll(released.done["failed"].decode()).content == released.done["failure"]
    assert released.ask("four", "kept-session") == "said before: one, two, three"


def test_what_the_released_version_parked_is_redriven(released: Stacks) -> None:
    """By this version's function."""
    (released.book / "broken").unlink()
    name = released.outputs["Redrive"]
    answer = client("lambda", released.aws).invoke(FunctionName=name, Payload=b"{}")
    assert json.loads(answer["Payload"].read())["redrive"] == 1
    assert until(lambda: released.poll(released.done["failed"].decode()).status_code == httpx.codes.OK)


def test_apis_that_keep_nothing_answer_as_before(released: Stacks) -> None:
    """Behind an alias too, whose released version is still there to go back to."""
    for output in ("ChatUrl", "SupportUrl"):
        assert released.call(output, "POST", prompt="hi").status_code == 200, output
    name = released.outputs["SupportFunction"]
    lambda_ = client("lambda", released.aws)
    versions = lambda_.list_versions_by_function(FunctionName=name)["Versions"]
    by_number = {each["Version"]: each["CodeSha256"] for each in versions}
    assert by_number["1"] == released.configurations["old"][name]["CodeSha256"] != by_number["2"]
    assert lambda_.get_alias(FunctionName=name, Name="live")["FunctionVersion"] == "2"


@pytest.mark.parametrize("behind", [(*FRONT, *BACK), RUNNER], ids=["new runner", "old runner"])
def test_a_half_upgraded_stack_answers(released: Stacks, behind: tuple[str, ...]) -> None:
    """Some functions are the released ones, the others this version's: each reads what the other writes."""
    released.run_with("old", *behind)
    try:
        request_id = released.submit("mixed", session_id="kept-session")
        assert released.answer(request_id).json()["result"].startswith("said before: one")
        assert released.runs(request_id) == 1
        with released.connected() as talk:
            frames = talk.chat("mixed", session_id="talk-session", book=str(released.book))
        assert frames[0]["type"] == "CHAT_QUEUED"
        assert "".join(frame.get("delta", "") for frame in frames) == frames[-1]["result"]
        assert frames[-1]["result"].startswith("said before: hello")
    finally:
        released.run_with("new", *behind)


def test_destroy_keeps_what_is_documented_and_the_documented_commands_delete_it(released: Stacks) -> None:
    """Exactly that, and then there is nothing left."""
    aws = released.aws
    retained = {
        pair
        for stack in STACKS
        for name, pair in resources(aws, stack).items()
        if any(name[:-8].endswith(id_) and pair[0] == type_ for _, id_, type_ in leaving.kept())
    }
    stack_ids = [
        client("cloudformation", aws).describe_stacks(StackName=each)["Stacks"][0]["StackId"] for each in STACKS
    ]
    upgrading.destroy(aws, released.work, released.assemblies["new"])
    assert everything(aws) - released.there == retained
    skipped = {pair for stack_id in stack_ids for pair in kept_by(aws, stack_id)}
    assert {pair for pair in skipped if pair[0] != "AWS::Lambda::Version"} == retained
    for type_, words in leaving.commands().items():
        for physical_id in (name for of, name in skipped if of == type_ and words):
            delete(aws, words, physical_id)
    assert everything(aws) - released.there == set()


def kept_by(aws: Emulator, stack_id: str) -> list[tuple[str, str]]:
    """Ask as the page does."""
    pages = client("cloudformation", aws).get_paginator("describe_stack_events").paginate(StackName=stack_id)
    return [(type_, name) for page in pages for type_, name in jmespath.search(leaving.query(), page)]


def delete(aws: Emulator, words: list[str], physical_id: str) -> None:
    """Do what a command does."""
    if words[:2] == ["s3", "rb"]:
        s3 = client("s3", aws)
        for each in s3.list_objects_v2(Bucket=physical_id).get("Contents", []):
            s3.delete_object(Bucket=physical_id, Key=each["Key"])
        s3.delete_bucket(Bucket=physical_id)
        return
    service, operation, arguments = leaving.call(words, physical_id)
    getattr(client(service, aws), operation)(**arguments)
