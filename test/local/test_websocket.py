"""WebSocketAgentApi where it is deployed, with real clients: days that are good, and days that are not."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.credentials import Credentials
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect

from ak_constructs.local.emulator import Emulator
from ak_constructs.local.logs import client
from ak_constructs.local.signing import signed_headers
from examples.websocket_chat import client as websocket_client
from examples.websocket_chat.client import Chat
from examples.websocket_chat.replies import Frame, Reply
from test.local.queued_pipeline import new_id, until
from test.local.websocket_load import run as run_load
from test.local.websocket_talk import FORMS, Deployed, Talk, deployed_on

pytestmark = pytest.mark.local

MAX_FRAME_BYTES = 32_000
FRAME_BYTES = 32 * 1024
TEN_WORDS = [f"word{number} " for number in range(10)]


@pytest.fixture(scope="module")
def deployed(aws: Emulator, work: Path) -> Iterator[Deployed]:
    """Deploy it once."""
    with deployed_on(aws, work) as found:
        yield found


@pytest.fixture(scope="module", autouse=True)
def failing(deployed: Deployed) -> Iterator[Talk]:
    """Ask what no run can answer; all of them take a while, in which there are other things to try."""
    do = {"words": ["half of it"], "pause": 0.3, "raise": "SECRET"}
    with deployed.talk("hank") as talk:
        talk.send(route="chat", prompt="hello", request_id="fails", do=do)
        yield talk


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connect again soon."""
    monkeypatch.setattr(websocket_client, "REST_SECONDS", (0, 0.1))


def deltas(frames: list[Frame]) -> list[Frame]:
    """Give the pieces of an answer."""
    return [frame for frame in frames if frame["type"] == "STREAM_CHUNK"]


def test_a_token_opens_a_connection_in_each_of_its_places(deployed: Deployed) -> None:
    """And a browser that offers `bearer` is answered with it."""
    for form in FORMS:
        with deployed.talk("alice", form=form) as talk:
            assert talk.is_quiet()
            assert talk.socket.subprotocol == ("bearer" if form == "protocol" else None)
    until(lambda: not deployed.rows("alice"))


@pytest.mark.parametrize("form", FORMS)
def test_fails_when_a_token_is_expired_or_somebody_elses(deployed: Deployed, form: str) -> None:
    """In each of its places; and one that is missing."""
    expired = deployed.world.token(exp=deployed.world.now(-3600))
    for token in (expired, deployed.world.by_mallory(), "none"):
        assert deployed.refusal(form, token) == 403
    assert deployed.refusal(None) == 403


def test_an_answer_comes_in_pieces_and_then_as_it_is(deployed: Deployed) -> None:
    """Queued, progress, deltas without a gap, done, the answer: each says for what it is."""
    with deployed.talk("alice") as talk:
        do = {"progress": ["looking"], "pause": 0.2}
        frames = talk.chat("hello", session_id=new_id("pieces"), request_id=new_id("pieces"), do=do)
        queued, *between, answer = frames
        assert talk.is_quiet()
    assert (queued["type"], queued["status"]) == ("CHAT_QUEUED", "PENDING")
    assert [frame["progress"] for frame in between if frame["type"] == "PROGRESS"] == ["looking"]
    chunks = deltas(frames)
    assert len(chunks) >= 4
    assert [chunk["seq"] for chunk in chunks] == list(range(len(chunks)))
    assert [chunk["done"] for chunk in chunks] == [*[False] * (len(chunks) - 1), True]
    assert "".join(chunk.get("delta", "") for chunk in chunks) == answer["result"]
    assert answer["result"] == f"alice {queued['session_id']} said hello after 0"
    assert {(frame["request_id"], frame["session_id"]) for frame in frames} == {
        (queued["request_id"], queued["session_id"])
    }


def test_a_conversation_goes_on_in_order(deployed: Deployed) -> None:
    """Whatever else is asked at the same time."""
    with deployed.talk("alice") as talk:
        sessions = [new_id("order") for _ in range(2)]
        for number in range(3):
            for session in sessions:
                talk.send(route="chat", prompt=str(number), session_id=session, do={})
        answers = [talk.until("CHAT_RESPONSE")[-1] for _ in range(6)]
    for session in sessions:
        results = [answer["result"] for answer in answers if answer["session_id"] == session]
        assert results == [f"alice {session} said {number} after {number}" for number in range(3)]


@pytest.mark.parametrize(
    ("message", "status", "word"),
    [
        ('{"route": "nowhere", "prompt": "hi"}', 404, "nowhere"),
        ("not JSON", 400, "JSON"),
        ("[1]", 400, "object"),
        ('{"prompt": "hi"}', 400, "route"),
        ('{"route": {"deep": 1}}', 400, "route"),
        ('{"route": "chat", "request_id": "r"}', 400, "prompt"),
        ('{"route": "chat", "prompt": ["hi"], "request_id": "r"}', 400, "prompt"),
        ('{"route": "chat", "prompt": "hi", "request_id": "r", "session_id": "a b"}', 400, "session_id"),
        ('{"route": "resume", "request_id": 5}', 400, "request_id"),
        ('{"route": "resume", "request_id": "nobody-asked"}', 404, ""),
    ],
    ids=range(10),
)
def test_a_message_that_is_wrong_is_answered(deployed: Deployed, message: str, status: int, word: str) -> None:
    """With what is wrong, and for which request."""
    with deployed.talk("alice") as talk:
        talk.socket.send(message)
        frame = talk.hear()
        assert talk.is_quiet()
    assert (frame["type"], frame["status_code"]) == ("SYSTEM_RESPONSE", status)
    assert word in frame["message"]
    assert frame.get("request_id") == ("r" if '"r"' in message else {404: frame.get("request_id")}.get(status))


@pytest.mark.parametrize("route", ["$connect", "$disconnect", "$default"])
def test_a_message_cannot_take_the_place_of_an_event(deployed: Deployed, route: str) -> None:
    """Or one could be somebody else, or be gone and still here."""
    with deployed.talk(route) as talk:
        (row,) = deployed.rows(route)
        talk.send(route=route, user_id="gina", requestContext={"authorizer": {"user_id": "gina"}})
        frame = talk.ask(route="ping")
        if frame.get("message") != "pong":
            assert (frame["type"], frame["status"]) == ("SYSTEM_RESPONSE", "FAILED")
        assert deployed.rows(route) == [row]
        assert deployed.rows("gina") == []


def test_sizes_of_messages(deployed: Deployed) -> None:
    """31 KB are answered, 33 KB end the connection, and a new one goes on."""
    with deployed.talk("alice") as talk:
        prompt = "x" * 31_000
        answer = talk.chat(prompt, session_id=new_id("long"), do={"words": ["ok"]})[-1]
        assert answer["result"] == "ok"
        talk.send(route="chat", prompt="x" * 33_000)
        with pytest.raises(ConnectionClosedError) as closed:
            talk.hear()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009
    with deployed.talk("alice") as talk:
        assert talk.is_quiet()


@pytest.mark.parametrize(
    "do",
    [{"whole": "x", "times": 200_000}, {"words": ['é\\"\u0000😀'] * 10, "times": 1_500}],
    ids=["whole", "bit by bit"],
)
def test_a_long_answer_comes_in_parts(deployed: Deployed, do: dict[str, Any]) -> None:
    """None of them too long; and again when it is asked for again."""
    with deployed.talk("alice") as talk:
        answer = talk.chat("long", do=do)[-1]
        again = talk.ask(route="resume", request_id=answer["request_id"])
    assert answer["result"] == "".join(do.get("words", [])) * do["times"] or do["whole"] * do["times"]
    assert again == answer
    assert len([text for text in talk.raw if '"PART"' in text]) >= 12
    assert max(len(text.encode()) for text in talk.raw) <= MAX_FRAME_BYTES


def test_two_tabs_see_the_same_and_another_user_sees_nothing(deployed: Deployed) -> None:
    """Nor does he get what was said, by any name."""
    with deployed.talk("alice") as asking, deployed.talk("alice") as other, deployed.talk("bob") as bob:
        frames = asking.chat("hello", do={"pause": 0.1, "progress": ["looking"]})
        answer = frames[-1]
        seen = other.until("CHAT_RESPONSE")
        assert answer["result"].startswith("alice ")
        assert seen[-1] == answer
        assert "".join(chunk.get("delta", "") for chunk in deltas(seen)) == answer["result"]
        refused = bob.ask(route="resume", request_id=answer["request_id"], user_id="alice")
        assert (refused["status_code"], refused["status"]) == (404, "NOT_FOUND")
        taken = bob.ask(route="chat", prompt="mine", request_id=answer["request_id"], user_id="alice")
        assert (taken["status_code"], taken["status"]) == (409, "FAILED")
        mine = bob.ask(route="chat", prompt="mine", session_id=answer["session_id"])
        assert mine["type"] in {"CHAT_QUEUED", "SYSTEM_RESPONSE"}
        if mine["type"] == "CHAT_QUEUED":
            mine = bob.until("CHAT_RESPONSE")[-1]
        assert mine["status_code"] == 403
        assert all("alice" not in text for text in bob.raw)
        assert bob.is_quiet()


def test_connections_that_are_gone_keep_nobody_from_the_rest(deployed: Deployed) -> None:
    """One breaks in mid-stream, and one never was: their rows go; one is not quite there yet. All others hear all."""
    table = client("dynamodb", deployed.aws)
    for name, age in (("never-was", 3600), ("not-yet", 0)):
        row = {
            "user_id": {"S": "carol"},
            "connection_id": {"S": name},
            "endpoint": {"S": deployed.outputs["CallbackUrl"]},
            "expiry_time": {"N": str(int(time.time()) + 3600)},
            "connected_at": {"N": str(int(time.time()) - age)},
        }
        table.put_item(TableName=deployed.outputs["ConnectionsTable"], Item=row)
    with deployed.talk("carol") as stays, deployed.talk("carol") as breaks:
        breaks.send(route="chat", prompt="hello", do={"words": TEN_WORDS, "pause": 0.1})
        assert len(breaks.until("STREAM_CHUNK")) >= 2
        breaks.socket.socket.shutdown(2)
        frames = stays.until("CHAT_RESPONSE")
    assert "".join(chunk.get("delta", "") for chunk in deltas(frames)) == frames[-1]["result"] == "".join(TEN_WORDS)
    until(lambda: [row["connection_id"] for row in deployed.rows("carol")] == [{"S": "not-yet"}])


def test_a_reply_that_comes_twice_changes_nothing(deployed: Deployed) -> None:
    """Nor one that says something else: the first answer is the answer."""
    with deployed.talk("alice") as talk:
        answer = talk.chat("hello", do={"words": ["first"]})[-1]
        about = {"request_id": answer["request_id"], "user_id": "alice", "status_code": "200"}
        attributes = {**about, "endpoint_url": deployed.outputs["CallbackUrl"]}
        for word in ("first", "second"):
            client("sqs", deployed.aws).send_message(
                QueueUrl=deployed.outputs["RepliesUrl"],
                MessageBody=json.dumps({"result": word, "session_id": answer["session_id"]}),
                MessageGroupId=answer["session_id"],
                MessageDeduplicationId=new_id("twice"),
                MessageAttributes={
                    name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
                },
            )
        later = talk.chat("again", session_id=answer["session_id"], do={"words": ["third"]})
        assert talk.ask(route="resume", request_id=answer["request_id"]) == answer
    heard = [frame for frame in later if frame["type"] == "CHAT_RESPONSE"]
    assert {frame["result"] for frame in heard} <= {"first", "third"}


async def shown(reply: Reply) -> str:
    """Give what a reader sees of an answer while it comes."""
    return "".join([delta async for delta in reply])


def test_a_second_run_shows_no_text_twice(deployed: Deployed) -> None:
    """The first failed after half of its deltas."""

    async def talk() -> tuple[str, str, Frame]:
        async with Chat(deployed.url(), lambda: deployed.token("dora")) as chat:
            reply = await chat.send("hello", do={"words": TEN_WORDS, "pause": 0.1, "fail_at": 5})
            return await shown(reply), reply.text, await reply.answer

    seen, _, answer = asyncio.run(asyncio.wait_for(talk(), 30))
    assert answer["result"] == "".join(TEN_WORDS)
    assert answer["result"].startswith(seen)
    assert "word0" in seen
    assert "word9" not in seen


def test_a_connection_that_is_replaced_in_mid_stream_loses_nothing(deployed: Deployed) -> None:
    """The new one is told what the old one was not, and shows nothing twice."""

    async def talk() -> tuple[str, str, Frame]:
        async with Chat(deployed.url(), lambda: deployed.token("erin"), by_header=True) as chat:
            reply = await chat.send("hello", do={"words": TEN_WORDS, "pause": 0.3})
            read = aiter(reply)
            seen = [await anext(read), await anext(read)]
            chat._socket.transport.abort()
            seen += [delta async for delta in read]
            return "".join(seen), reply.text, await reply.answer

    seen, text, answer = asyncio.run(asyncio.wait_for(talk(), 30))
    assert answer["result"] == "".join(TEN_WORDS)
    assert answer["result"].startswith(seen)
    assert answer["result"] == text, "the new connection gets the deltas from the first on"


def test_an_answer_waits_for_its_user(deployed: Deployed) -> None:
    """It came while nobody was connected."""
    with deployed.talk("fred") as talk:
        queued = talk.ask(route="chat", prompt="hello", do={"words": ["late"], "pause": 1})
        talk.send(route="resume", request_id=queued["request_id"])
        assert talk.until("CHAT_QUEUED")[-1]["request_id"] == queued["request_id"]
    time.sleep(2)
    with deployed.talk("fred") as talk:
        answer = talk.ask(route="resume", request_id=queued["request_id"])
        assert (answer["type"], answer["result"]) == ("CHAT_RESPONSE", "late")
        again = talk.ask(
            route="chat", prompt="hello", do={"words": ["late"], "pause": 1}, request_id=answer["request_id"]
        )
        assert again["type"] == "CHAT_RESPONSE", "a message that is sent again is not run again"


def test_a_route_of_ones_own_needs_no_prompt(deployed: Deployed) -> None:
    """And is told who asks."""
    with deployed.talk("alice") as talk:
        told = talk.ask(route="who", data=[1, 2])
    assert told == {"type": "WHO", "user": "alice", "sent": {"route": "who", "data": [1, 2]}}


def test_without_a_queue_the_agent_answers_the_message_itself(deployed: Deployed) -> None:
    """Deltas included; nothing is kept."""

    def chat(talk: Talk, **fields: object) -> list[Frame]:
        """Give what comes, up to what says that the message was handled."""
        talk.send(route="chat", **fields)
        return talk.until("SYSTEM_RESPONSE")[:-1]

    with deployed.talk("alice", api="Direct") as talk:
        frames = chat(talk, prompt="hello", request_id="direct", session_id="direct", do={"pause": 0.2})
        assert frames[-1]["result"] == "alice direct said hello after 0"
        assert "".join(chunk.get("delta", "") for chunk in deltas(frames)) == frames[-1]["result"]
        (long,) = chat(talk, prompt="long", do={"whole": "x", "times": 100_000})
        assert long["result"] == "x" * 100_000
        failed = chat(talk, prompt="hello", do={"raise": "SECRET"})[-1]
        assert failed["status_code"] == 502
        refused = talk.ask(route="resume", request_id="direct")
        assert (refused["type"], refused["status"], refused["request_id"]) == ("SYSTEM_RESPONSE", "FAILED", "direct")
        wrong = talk.ask(route="chat", request_id="direct")
        assert (wrong["type"], wrong["status_code"]) == ("SYSTEM_RESPONSE", 400)


def test_who_signs_is_known_in_messages_too(deployed: Deployed) -> None:
    """They say nothing of it themselves: the connection's row does."""
    url = deployed.url("Signed")
    keys = Credentials("test", "test")
    headers = signed_headers("GET", url.replace("ws://", "http://"), b"", credentials=keys, region="us-east-1")
    with connect(url, additional_headers=headers, compression=None) as socket:
        frames = Talk(socket).chat("hello", do={})
    assert frames[-1]["result"].startswith("000000000000 ")
    assert deltas(frames)
    with pytest.raises(InvalidStatus) as refused:
        connect(url)
    assert refused.value.response.status_code == 403


def test_a_request_that_no_run_can_answer_fails(failing: Talk) -> None:
    """After the deltas of each, the one outcome; without the agent's words."""
    frames = failing.until("CHAT_RESPONSE")
    assert (frames[-1]["request_id"], frames[-1]["status"], frames[-1]["status_code"]) == ("fails", "FAILED", 502)
    attempts = [chunk["attempt"] for chunk in deltas(frames)]
    assert attempts == sorted(attempts)
    assert len(set(attempts)) > 1
    assert not any(chunk["done"] for chunk in deltas(frames))
    assert not any("SECRET" in text for text in failing.raw)


def test_many_at_once_lose_nothing(deployed: Deployed) -> None:
    """A small one of `test.local.websocket_load`: each gets its own answers, in order, also when it is dropped."""
    measured = asyncio.run(asyncio.wait_for(run_load(deployed, clients=20, messages=3, drop=5), 120))
    assert measured.faults == [], measured.shown()
    assert (len(measured.full), measured.dropped) == (60, 5)
    assert measured.whole >= 40, measured.shown()
