"""Every line of the table of tokens, asked of a deployed API with a real issuer; and what the table notices there."""

import http.client
import io
import sys
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from ak_constructs.local.deployment import deploy
from ak_constructs.local.emulator import Emulator
from ak_constructs.local.logs import client
from test.issuer import KEYS, Issuers
from test.rest_gateway import Answer
from test.token_cases import ATTACKS, CASES, LET_IN
from test.token_world import Case, Step, World

pytestmark = pytest.mark.local
ROOT = Path(__file__).parents[2]
AT_ONCE = 2  # each request waits for others' processes most of its time
VERIFIER = "ak_lambda/jwt_authorizer/verification.py"
MUTANTS = {
    "believes everything": "\n\ndef verify(token, **_options):\n    return tokens.parsed(token).claims\n",
    "believes nothing": "\n\ndef verify(token, **_options):\n    raise RefusedTokenError('mutant')\n",
}


@dataclass
class Deployed:
    """An API that takes the tokens of an issuer."""

    aws: Emulator
    url: str
    socket_url: str
    function: str
    world: World
    web: httpx.Client
    environments: int = 0

    def ask(self, step: Step) -> Answer:
        """Send a request."""
        value = step.value(self.world)
        headers = {} if value is None else {step.name.encode(): value.encode()}
        url = f"{self.url}{step.route.path}"
        response = self.web.request(step.route.method, url, json={"prompt": "hi"}, headers=headers)
        return response.status_code, response.json().get("user_id") if response.status_code == 200 else None

    def connect(self, headers: dict[str, str], query: str = "") -> int:
        """Ask for a WebSocket, as clients do before they speak its protocol; 101 is yes."""
        asked = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        parts = urlsplit(self.socket_url)
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=35)
        try:
            connection.request(
                "GET", parts.path + query, headers={**asked, "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", **headers}
            )
            with connection.getresponse() as response:
                return response.status
        finally:
            connection.close()

    def answers(self, case: Case) -> list[Answer]:
        """Go through the steps of a line, those that change the issuer in an environment of their own."""
        if case.fresh:
            self.world.reset()
            self.renew()
        found = []
        for step in case.steps:
            if step.before:
                step.before(self.world)
            found.append(self.ask(step))
            assert step.fetches in {None, self.world.issuer.fetched[KEYS]}, case.name
        return found

    def unlike(self, cases: Sequence[Case]) -> dict[str, list[Answer]]:
        """Give the lines that do not hold, with what came."""
        side_by_side = [case for case in cases if not case.fresh]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = dict(zip((case.name for case in side_by_side), pool.map(self.answers, side_by_side), strict=True))
        found |= {case.name: self.answers(case) for case in cases if case.fresh}
        expected = {case.name: [(case.there, None)] if case.there else case.expected for case in cases}
        return {name: each for name, each in found.items() if each != expected[name]}

    def renew(self) -> None:
        """Give the authorizer a fresh environment, which knows no keys."""
        self.environments += 1
        functions = client("lambda", self.aws)
        variables = functions.get_function_configuration(FunctionName=self.function)["Environment"]["Variables"]
        variables["RENEWED"] = str(self.environments)
        functions.update_function_configuration(FunctionName=self.function, Environment={"Variables": variables})

    def replace_verifier(self, appended: str) -> None:
        """Deploy the authorizer with something put after its verifier."""
        client("lambda", self.aws).update_function_code(FunctionName=self.function, ZipFile=code(appended))


def code(appended: str) -> bytes:
    """Zip our functions with something put after the verifier."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted((ROOT / "lambda_assets" / "ak_lambda").rglob("*.py")):
            name = path.relative_to(ROOT / "lambda_assets").as_posix()
            archive.writestr(name, path.read_text(encoding="utf-8") + (appended if name == VERIFIER else ""))
    return packed.getvalue()


@pytest.fixture(scope="module")
def deployed(aws: Emulator, work: Path) -> Iterator[Deployed]:
    """Deploy an API for an issuer on loopback."""
    with Issuers(work).running() as issuers, httpx.Client(timeout=35) as web:
        world = World(issuers, "ours")
        context = {"issuer": world.issuer.url, "authority": str(issuers.authority)}
        found = deploy(aws, work, app=f"{sys.executable} -m test.local.jwt_app", context=context)["Jwt"]
        url = aws.reachable(found["Url"]).rstrip("/")
        sockets = aws.reachable(found["SocketUrl"])
        yield Deployed(aws=aws, url=url, socket_url=sockets, function=found["Function"], world=world, web=web)


def test_every_line_holds_where_it_is_deployed(deployed: Deployed) -> None:
    """With API Gateway's memory of results on."""
    deployed.world.reset()
    assert deployed.unlike([case for case in CASES if not case.alone]) == {}


def test_a_result_is_remembered(deployed: Deployed) -> None:
    """Or the lines about remembered results would show nothing: one is used while the authorizer cannot even start."""
    deployed.world.reset()
    step = next(case for case in LET_IN if case.name == "RS256").steps[0]
    kept = deployed.world.kept("remembered")
    again = Step(value=lambda _: f"Bearer {kept}", status=200)
    assert deployed.ask(again) == (200, "alice")
    deployed.replace_verifier("\n1 / 0\n")
    assert deployed.ask(again) == (200, "alice")
    assert deployed.ask(step) == (503, None)


def test_a_websocket_opens_by_a_token_in_each_of_its_places(deployed: Deployed) -> None:
    """And by no other."""
    deployed.world.reset()
    good, bad = deployed.world.token(), deployed.world.by_mallory()
    for token, status in ((good, 101), (bad, 403)):
        places = [
            deployed.connect({"Authorization": f"Bearer {token}"}),
            deployed.connect({"Sec-WebSocket-Protocol": f"bearer, {token}"}),
            deployed.connect({}, f"?token={token}"),
        ]
        assert places == [status] * 3
    assert deployed.connect({"Authorization": f"Bearer {good}"}, f"?token={bad}") == 403
    assert deployed.connect({}) == 403


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_wrong_verifier_is_noticed(deployed: Deployed, mutant: str) -> None:
    """By those lines, and at least those, that hang on it."""
    deployed.world.reset()
    deployed.replace_verifier(MUTANTS[mutant])
    cases = [*LET_IN[::4], *(case for case in ATTACKS[::4] if case.verified)]
    unlike = set(deployed.unlike(cases))
    noticing = [case for case in cases if (case in LET_IN) == (mutant == "believes nothing")]
    assert unlike
    assert unlike <= {case.name for case in noticing}
