"""What `python -m ak_constructs.local` decides and says, without an emulator; test/local has the rest."""

import http.server
import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2

import ak_constructs.local
from ak_constructs._chat_path import DEFAULT_CHAT_PATH
from ak_constructs.local import __main__ as command
from ak_constructs.local import answers, deployment, environment, needs, rest_chat, synthesis, websocket_chat
from ak_constructs.local.answers import Asked, RefusedError, Screen
from ak_constructs.local.application import Deployed, deployed
from ak_constructs.local.chat import CHAT_ROUTE, Conversation, NoChatError, find_chat
from ak_constructs.local.emulator import Emulator
from ak_constructs.local.synthesis import AppError
from test.local.fake_websocket_api import FakeApi, Frame

API = "http://127.0.0.1:1/_aws/execute-api"
CHAT = f"{API}/a/prod/api/v1/chat"
SOCKET = "ws://127.0.0.1:1/_aws/execute-api/b/prod"


@pytest.mark.parametrize(
    ("here", "on_aws"),
    [
        (CHAT, "https://a.execute-api.eu-west-1.amazonaws.com/prod/api/v1/chat"),
        (SOCKET, "wss://b.execute-api.us-east-1.amazonaws.com/prod"),
        (f"{API}/c/prod/?x=1", "https://c.execute-api.us-east-1.amazonaws.com/prod/?x=1"),
        (CHAT, CHAT),
        ("https://example.com/chat", "https://example.com/chat"),
        ("a log group", "a log group"),
    ],
)
def test_an_apis_address_becomes_the_one_that_it_has_here(here: str, on_aws: str) -> None:
    """And nothing else changes."""
    assert Emulator(endpoint="http://127.0.0.1:1", log=Path("log")).reachable(on_aws) == here


@pytest.mark.parametrize(
    ("outputs", "name", "found"),
    [
        ({"S": {"Url": CHAT, "Group": "logs"}}, None, CHAT),
        ({"S": {"Url": SOCKET}, "T": {"CallbackUrl": f"{API}/b/prod"}}, None, SOCKET),
        ({"S": {"One": CHAT, "Two": SOCKET}}, "Two", SOCKET),
        ({"S": {"Url": CHAT}, "T": {"Url": SOCKET}}, "T.Url", SOCKET),
        ({"S": {"Ask": f"{API}/a/prod/my/own/route"}}, "Ask", f"{API}/a/prod/my/own/route"),
    ],
)
def test_the_chat_api_is_found(outputs: dict[str, dict[str, str]], name: str | None, found: str) -> None:
    """By what an address looks like, or by the output's name."""
    assert find_chat(outputs, name) == found
    assert DEFAULT_CHAT_PATH.endswith(CHAT_ROUTE)


@pytest.mark.parametrize(
    ("outputs", "name", "said"),
    [
        ({}, None, r"no output begins with wss:// or ends in /chat; there is none at all; .*cdk\.CfnOutput\("),
        ({"S": {"Group": "logs"}}, None, r"no output begins .*; there are S\.Group; name one with --output, or"),
        ({"S": {"Group": "logs"}}, "Url", r"no output is named Url; there are S\.Group; "),
        ({"S": {"Group": "logs"}}, "Group", "the output Group must be the address of an API, got logs"),
        ({"S": {"A": CHAT, "B": SOCKET}}, None, r"several outputs .*; say which: --output S\.A or --output S\.B"),
        ({"S": {"U": CHAT}, "T": {"U": CHAT}}, "U", r"several outputs .*; say which: --output S\.U or --output T\.U"),
    ],
)
def test_a_chat_api_that_is_not_clear_is_said_so(
    outputs: dict[str, dict[str, str]], name: str | None, said: str
) -> None:
    """With what there is, and what to do."""
    with pytest.raises(NoChatError, match=f"^{said}"):
        find_chat(outputs, name)


def synthesized(folder: Path, *environments: dict[str, str] | None) -> Path:
    """Synthesize a stack for each environment, the last in a stage of its own."""
    app = cdk.App(outdir=str(folder), analytics_reporting=False, builtin_cloud_formation_validation=False)
    for number, where in enumerate(environments):
        scope = cdk.Stage(app, "Stage") if where and number == len(environments) - 1 else app
        name = "-".join([f"Stack{number}", *(where or {}).values()])
        stack = cdk.Stack(scope, name, env=cdk.Environment(**where) if where else None)
        ec2.Vpc(stack, "Vpc", max_azs=1, nat_gateways=0)
        cdk.CfnOutput(stack, "Where", value=f"{stack.account} {stack.region} {stack.region}a")
    app.synth()
    return folder


def test_stacks_with_an_account_and_a_region_become_the_emulators(tmp_path: Path) -> None:
    """In every value, and in no name of a file; nothing is looked up."""
    one, two = {"account": "111122223333", "region": "eu-west-1"}, {"account": "444455556666", "region": "eu-central-1"}
    out = synthesized(tmp_path / "cdk.out", None, one, two)
    before = {path.relative_to(out) for path in out.rglob("*")}
    assert synthesis.settle(out) == [
        "111122223333, 444455556666, eu-central-1, eu-west-1 of the app's stacks: here 000000000000, us-east-1",
        "not looked up here, CDK's placeholder is deployed: availability-zones",
    ]
    assert {path.relative_to(out) for path in out.rglob("*")} == before
    texts = {path: path.read_text(encoding="utf-8") for path in out.rglob("*.json") if path.name != "tree.json"}
    lists = [json.loads(text) for path, text in texts.items() if path.name.endswith(".assets.json")]
    places = [place for each in lists for file in each["files"].values() for place in file["destinations"].values()]
    buckets = {(place["bucketName"], place.get("region")) for place in places}
    here = ("cdk-hnb659fds-assets-000000000000-us-east-1", "us-east-1")
    assert buckets == {here, ("cdk-hnb659fds-assets-${AWS::AccountId}-${AWS::Region}", None)}
    stacks = [
        (path.parent, artifact)
        for path in texts
        if path.name == "manifest.json"
        for artifact in json.loads(texts[path])["artifacts"].values()
        if artifact["type"] == "aws:cloudformation:stack"
    ]
    assert {stack["environment"] for _, stack in stacks} == {
        "aws://unknown-account/unknown-region",
        "aws://000000000000/us-east-1",
    }
    templates = [json.loads(texts[folder / stack["properties"]["templateFile"]]) for folder, stack in stacks]
    assert not re.search("111122223333|444455556666|eu-(west|central)-1", json.dumps(templates))
    values = [template["Outputs"]["Where"]["Value"] for template in templates]
    assert values.count("000000000000 us-east-1 us-east-1a") == 2
    assert synthesis.settle(out) == []


def test_stacks_without_an_environment_stay_as_they_are(tmp_path: Path) -> None:
    """Byte by byte."""
    out = synthesized(tmp_path / "cdk.out", None)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert synthesis.settle(out) == []
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_stacks_of_one_name_in_two_regions_are_refused(tmp_path: Path) -> None:
    """The second would take the first one's place."""
    app = cdk.App(outdir=str(tmp_path), analytics_reporting=False, builtin_cloud_formation_validation=False)
    for region in ("eu-west-1", "us-east-1"):
        where = cdk.Environment(account="111122223333", region=region)
        cdk.Stack(app, f"In-{region}", env=where, stack_name="Same")
    app.synth()
    with pytest.raises(AppError, match="one account and one region, and stacks of the same name: Same; synthesize one"):
        synthesis.settle(tmp_path)


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        ("import nothing_like_it", 1, "ModuleNotFoundError: No module named 'nothing_like_it'"),
        ("print('no app')", 1, "the app made no stacks; it must define a cdk.App, and synthesize it: app.synth()"),
    ],
)
def test_an_apps_own_error_is_kept_for_who_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, status: int, said: str
) -> None:
    """Not the command line's words about it."""
    (tmp_path / "app.py").write_text(code, encoding="utf-8")
    monkeypatch.setenv("CDK_OUTDIR", str(tmp_path / "cdk.out"))
    monkeypatch.setenv("AK_CONSTRUCTS_SYNTHESIS", str(tmp_path / "told.json"))
    assert synthesis.main([str(tmp_path / "app.py")]) == status
    told = json.loads((tmp_path / "told.json").read_text(encoding="utf-8"))
    assert told["error"].rstrip().endswith(said)


def test_a_file_that_is_not_there_is_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is installed or started."""
    monkeypatch.chdir(tmp_path)
    assert command.main(["ap.py"]) == 1
    said = f"ak_constructs.local: there is no file ap.py in {tmp_path}; say which file defines the app\n"
    assert capsys.readouterr() == ("", said)
    with pytest.raises(AppError), deployed(Path("ap.py")):
        pass


def test_a_chat_and_a_command_are_not_run_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Both want the terminal."""
    with pytest.raises(SystemExit, match="2"):
        command.main(["app.py", "--chat", "--", "pytest"])
    assert "error: --chat and a command cannot be given at once" in capsys.readouterr().err


def test_what_is_missing_is_named_with_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packages, programs, and a system that can run it."""
    assert needs.missing() is None
    assert ak_constructs.local.deployed is deployed
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = ak_constructs.local.nothing
    monkeypatch.setattr(needs, "PACKAGES", ("boto3", "no_such_package"))
    monkeypatch.setattr(needs, "programs", lambda: "")
    monkeypatch.delenv("UV", raising=False)
    said = "ak_constructs.local needs no_such_package, node, npm, uv: pip install 'ak-constructs[local]'"
    assert needs.missing() == said
    with pytest.raises(ImportError, match=re.escape(said)):
        _ = ak_constructs.local.Deployed
    monkeypatch.setattr(sys, "platform", "win32")
    assert str(needs.missing()).startswith("ak_constructs.local runs on Linux, on macOS and in WSL; on Windows install")


def test_tools_are_made_once_and_what_is_half_made_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks at the same moment waits; a folder that nobody could write to is named."""
    monkeypatch.setenv("AK_CONSTRUCTS_CACHE", str(tmp_path / "new" / "cache"))
    made: list[Path] = []

    def make(folder: Path) -> None:
        assert not folder.exists(), "what was left half made is gone"
        folder.mkdir()
        made.append(folder)
        time.sleep(0.05)
        if len(made) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        environment.kept(b"key", make)
    with ThreadPoolExecutor(4) as users:
        found = set(users.map(lambda _: environment.kept(b"key", make), range(4)))
    assert len(made) == 2
    assert found == {made[1]}
    assert made[1].parent == tmp_path / "new" / "cache"
    assert environment.kept(b"another key", lambda folder: folder.mkdir()) != made[1]
    monkeypatch.setenv("AK_CONSTRUCTS_CACHE", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert environment.cache() == tmp_path / ".cache" / "ak-constructs"


def test_tools_that_others_could_have_put_there_are_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in a folder that others may write to, nor in another user's; a new one is for its user alone."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    monkeypatch.setenv("AK_CONSTRUCTS_CACHE", str(shared))
    with pytest.raises(RuntimeError, match=r"must be yours.*mode 1777 of user .*AK_CONSTRUCTS_CACHE"):
        environment.kept(b"key", Path.mkdir)
    assert list(shared.iterdir()) == []
    monkeypatch.setenv("AK_CONSTRUCTS_CACHE", str(tmp_path / "own"))
    assert stat.S_IMODE(environment.kept(b"key", Path.mkdir).stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "own").stat().st_mode) == 0o700
    monkeypatch.setattr(os, "getuid", lambda: (tmp_path / "own").stat().st_uid + 1)
    with pytest.raises(RuntimeError, match="must be yours"):
        environment.kept(b"key", Path.mkdir)


def test_a_cache_that_cannot_be_written_to_is_named_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container whose home is read-only."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("AK_CONSTRUCTS_CACHE", str(tmp_path / "file"))
    with pytest.raises(
        OSError, match=r"^tools cannot be kept in .*/file \(File exists\); name a folder .*CACHE="
    ) as told:
        environment.kept(b"key", lambda folder: folder.mkdir())
    assert "\n" not in str(told.value)


def test_uv_keeps_a_persons_pins_out_of_the_tools_and_its_failure_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what uv says, in place of a traceback; the pins of the project around it are not meant for the tools."""
    uv = tmp_path / "uv"
    uv.write_text('#!/bin/sh\necho "pins: $UV_CONSTRAINT$UV_OVERRIDE" >&2\nexit 2\n', encoding="utf-8")
    uv.chmod(0o755)
    for name, value in {"UV": uv, "AK_CONSTRUCTS_CACHE": tmp_path, "UV_CONSTRAINT": "a", "UV_OVERRIDE": "b"}.items():
        monkeypatch.setenv(name, str(value))
    (tmp_path / "pins.txt").touch()
    with pytest.raises(RuntimeError, match=r"/uv venv -q ended with status 2:\npins:$"):
        environment.make_environment(tmp_path / "pins.txt")


def test_a_tool_that_does_not_end_is_told_as_such() -> None:
    """In place of a traceback."""
    with pytest.raises(RuntimeError, match=r"^sleep 9 did not end within 0 s$"):
        deployment.run(["sleep", "9"], cwd=None, seconds=0)


def test_an_empty_answer_is_shown_as_one(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing at all looks like a chat that hangs."""
    Screen().answer("")
    assert capsys.readouterr().out == "Agent: (an empty text)\n"


def running_app(outputs: dict[str, dict[str, str]]) -> Deployed:
    """Make an app that only looks deployed."""
    fake = SimpleNamespace(outputs=outputs, environment={"AWS_ENDPOINT_URL": "http://127.0.0.1:1"})
    return cast("Deployed", fake)


def test_a_command_has_the_emulator_for_its_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the person's own AWS settings, no proxy on the way, the outputs in a file; its status is ours."""
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("NO_PROXY", "example.com")
    outputs = {"S": {"ChatUrl": CHAT}}
    code = (
        "import json, os, pathlib, sys;"
        "names = {name: value for name, value in os.environ.items() if name.startswith('AWS_') or name == 'NO_PROXY'};"
        "outputs = pathlib.Path(os.environ['AK_CONSTRUCTS_LOCAL_OUTPUTS']).read_text();"
        f"pathlib.Path({str(tmp_path / 'seen')!r}).write_text(json.dumps([names, json.loads(outputs)]));"
        "sys.exit(7)"
    )
    assert command._run([sys.executable, "-c", code], running_app(outputs)) == 7
    names, read = json.loads((tmp_path / "seen").read_text(encoding="utf-8"))
    assert names == {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "NO_PROXY": "example.com,127.0.0.1"}
    assert read == outputs
    assert command._run([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], running_app({})) == 128 + 9


class Responses(http.server.BaseHTTPRequestHandler):
    """Answers with what a test prepared, one after the other."""

    prepared: list[tuple[int, dict[str, str], dict[str, Any]]]
    seen: list[tuple[str, str, dict[str, str], bytes]]

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.seen.append((self.command, self.path, dict(self.headers.items()), body))
        status, headers, answer = self.prepared.pop(0)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    do_GET = do_POST = _answer  # noqa: N815 - the server's own names

    def log_message(self, *_arguments: object) -> None:
        """Print nothing."""


@pytest.fixture
def rest() -> Iterator[tuple[str, type[Responses]]]:
    """Serve prepared responses, and give the address of the chat."""
    handler = type("Prepared", (Responses,), {"prepared": [], "seen": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/prod/api/v1/chat", handler
        server.shutdown()
        thread.join(5)


def test_a_queued_answer_is_followed_with_its_progress(
    rest: tuple[str, type[Responses]], capsys: pytest.CaptureFixture[str]
) -> None:
    """As often as the service says that there is none yet; what lies in S3 is read there, without our signature."""
    address, api = rest
    later = {"Location": "/prod/api/v1/chat/r"}
    api.prepared = [
        (202, later, {"status": "ACCEPTED"}),
        (202, later, {"status": "PENDING", "progress": "reads"}),
        (202, later, {"status": "PENDING", "progress": "reads"}),
        (303, {"Location": address.replace("chat", "s3")}, {}),
        (200, {}, {"result": "the answer"}),
    ]
    asked = Asked(address=address, prompt="Why?", session_id="s")
    assert rest_chat.ask(asked, Screen()) == {"result": "the answer"}
    assert capsys.readouterr().out == "       (reads)\n"
    (first, *polls, last) = api.seen
    sent = {"prompt": "Why?", "session_id": "s", "request_id": asked.request_id}
    assert (first[0], json.loads(first[3])) == ("POST", sent)
    assert {(poll[0], poll[1]) for poll in polls} == {("GET", "/prod/api/v1/chat/r")}
    assert all(call[2]["Authorization"].startswith("AWS4-HMAC-SHA256 ") for call in (first, *polls))
    assert "Authorization" not in last[2]


@pytest.mark.parametrize(
    ("token", "status", "said"),
    [
        (
            None,
            403,
            rest_chat.REFUSED % 403,
        ),
        ("t", 403, 'the API answered 403: {"error": "no"}'),
        (None, 502, 'the API answered 502: {"error": "no"}'),
    ],
)
def test_a_refusal_is_said_with_what_may_help(
    rest: tuple[str, type[Responses]], token: str | None, status: int, said: str
) -> None:
    """A token is sent as it was given."""
    address, api = rest
    api.prepared = [(status, {}, {"error": "no"})]
    with pytest.raises(RefusedError) as refused:
        rest_chat.ask(Asked(address=address, prompt="Why?", session_id="s", token=token), Screen())
    assert str(refused.value) == said
    if token:
        assert api.seen[0][2]["Authorization"] == "Bearer t"


def chunk(delta: str, seq: int, attempt: int = 1) -> Frame:
    """Write a piece of an answer."""
    return {"type": "STREAM_CHUNK", "attempt": attempt, "seq": seq, "delta": delta, "done": False}


ANSWER: Frame = {"type": "CHAT_RESPONSE", "status_code": 200, "result": "abc"}
PROGRESS: Frame = {"type": "PROGRESS", "progress": "reads"}
TEXT = json.dumps(ANSWER)
PARTS: list[Frame] = [
    {"type": "PART", "part_id": "p", "i": 1, "n": 2, "data": TEXT[9:]},
    {"type": "PART", "part_id": "p", "i": 0, "n": 2, "data": TEXT[:9]},
]


@pytest.mark.parametrize(
    ("frames", "shown"),
    [
        ([chunk("a", 0), chunk("b", 1), chunk("c", 2), ANSWER], "Agent: abc\n"),
        ([chunk("a", 0), chunk("a", 0), chunk("c", 2), ANSWER], "Agent: a\nAgent: abc\n"),
        ([chunk("x", 0), chunk("a", 0, 2), chunk("b", 1, 2), ANSWER], "Agent: x\nAgent: abc\n"),
        (
            [PROGRESS, chunk("ab", 0), ANSWER],
            "       (reads)\nAgent: ab\nAgent: abc\n",
        ),
        (PARTS, "Agent: abc\n"),
        ([{**ANSWER, "request_id": "another", "result": "x"}, ANSWER], "Agent: abc\n"),
    ],
    ids=["as it comes", "a gap", "a second attempt", "progress", "parts", "another request's"],
)
def test_text_is_shown_as_it_comes_and_in_the_end_the_answer(
    frames: list[Frame], shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """No delta twice, none after a gap."""
    with FakeApi().running(subprotocols=()) as api, ThreadPoolExecutor(1) as callers:
        screen = Screen()
        asked = Asked(address=api.url, prompt="Why?", session_id="s")
        asking = callers.submit(websocket_chat.ask, asked, screen)
        message = {"route": "chat", "prompt": "Why?", "session_id": "s", "request_id": asked.request_id}
        assert api.next() == message
        api.send(*frames)
        screen.answer(asking.result(10)["result"])
    assert capsys.readouterr().out == shown


@pytest.mark.parametrize(("way", "address"), [(rest_chat, "http://127.0.0.1:1/chat"), (websocket_chat, "ws://x")])
def test_a_question_is_said_to_wait_when_nothing_is_shown_for_long(
    way: ModuleType, address: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, however the agent is asked."""
    said: list[str] = []

    def ask(_asked: Asked, _screen: Screen) -> Frame:
        give_up = time.monotonic() + 10
        while not said or (not said[-1] and time.monotonic() < give_up):
            said.append(capsys.readouterr().out)
            time.sleep(0.01)
        return ANSWER

    monkeypatch.setattr(answers, "QUIET_SECONDS", 0.01)
    monkeypatch.setattr(way, "ask", ask)
    assert Conversation(running_app({}), address).ask("Why?")
    assert "".join(said) == "       (no answer yet; Ctrl-C ends)\n"
    assert capsys.readouterr().out == "Agent: abc\n"


@pytest.mark.parametrize("show", [Screen.delta, Screen.progress, Screen.answer, Screen.trouble])
def test_a_question_whose_answer_begins_to_come_is_not_said_to_wait(
    show: Callable[[Screen, str], None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even if the time is over just then."""
    monkeypatch.setattr(answers, "QUIET_SECONDS", 0.05)
    with Screen() as screen:
        show(screen, "word")
        time.sleep(0.2)
    assert "no answer yet" not in capsys.readouterr().out


def test_what_is_shown_waits_while_it_is_said_that_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the two would stand in one line."""
    shown: list[str] = []
    begun = threading.Event()

    def slowly(text: str = "", **_options: object) -> None:
        if "no answer yet" in text:
            begun.set()
            time.sleep(0.1)
        shown.append(text)

    monkeypatch.setattr(answers, "print", slowly, raising=False)
    monkeypatch.setattr(answers, "QUIET_SECONDS", 0)
    with Screen() as screen:
        assert begun.wait(10)
        screen.delta("word")
    assert shown == ["       (no answer yet; Ctrl-C ends)", "Agent: word"]


def asked_in_vain(api: FakeApi, do: Callable[[], None] | None = None) -> str:
    """Ask, do something once it was heard, and give what was said of it."""
    with ThreadPoolExecutor(1) as callers:
        asking = callers.submit(websocket_chat.ask, Asked(address=api.url, prompt="Why?", session_id="s"), Screen())
        if do:
            api.next()
            do()
        error = asking.exception(10)
    assert isinstance(error, RefusedError)
    return str(error)


def test_a_refused_connection_a_broken_one_and_a_failed_run_are_said() -> None:
    """Each in its own words."""
    with FakeApi().running(subprotocols=()) as api:
        failed = {"type": "CHAT_RESPONSE", "status_code": 502, "status": "FAILED", "error": "it failed"}
        assert '"error": "it failed"' in asked_in_vain(api, lambda: api.send(failed))
        assert "the connection broke: " in asked_in_vain(api, api.cut)
        api.refusing = True
        said = "the API refused the connection (403): with Authorization.jwt it needs --token"
        assert asked_in_vain(api) == said


def test_an_environment_has_nothing_without_a_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And runs no package's own code while it is made."""
    commands: list[list[str]] = []
    monkeypatch.setenv("AK_CONSTRUCTS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(environment, "kept", lambda _key, make: make(tmp_path / "made") or tmp_path / "made")
    monkeypatch.setattr(environment, "_run_uv", commands.append)
    pins = tmp_path / "requirements.txt"
    pins.touch()
    environment.make_environment(pins)
    (install,) = [each for each in commands if "install" in each]
    assert {"--require-hashes", "--only-binary", ":all:", str(pins)} <= set(install)


def test_a_program_ends_with_its_status_however_it_is_stopped() -> None:
    """By Ctrl-C, by SIGTERM, or by a terminal that is closed: after it has cleaned up, undisturbed."""
    code = (
        "import time\nfrom ak_constructs.local.stopping import run, undisturbed\n"
        "def main():\n"
        "    with undisturbed() as disturb_no_more:\n"
        "        try:\n            print('begun', flush=True)\n            time.sleep(30)\n"
        "        finally:\n            disturb_no_more()\n            time.sleep(0.3)\n"
        "            print('clean', flush=True)\n"
        "run(main)\n"
    )
    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as program:
            assert program.stdout is not None
            assert program.stdout.readline() == "begun\n"
            os.kill(program.pid, number)
            time.sleep(0.1)
            os.kill(program.pid, signal.SIGINT)
            rest = program.communicate(timeout=10)[0]
        assert (program.returncode, rest.split("\n")[0]) == (status, "clean")
