"""Measures what a token costs, beside Agent Kernel's authorizer with PyJWT, and writes its part of docs/benchmarks.md.

    uv run python -m benchmarks.jwt_authorizer

Both sides check signature, issuer, audience and times of the same token, with keys of the same issuer on loopback.
"""

import datetime as dt
import json
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.bench import AGENT_KERNEL, ROOT, Bench, beside_agent_kernel, zipped
from benchmarks.document import write
from benchmarks.processes import Side, Spread, at_most, compare, figure, ratio
from test.issuer import KEYS, Issuer, Issuers
from test.rest_gateway import event
from test.signing import rsa_key
from test.token_world import CHAT

PACKAGES = [AGENT_KERNEL.replace("[aws]", "[aws,auth]"), "pyjwt[crypto]"]
PINS = ROOT / "lambda_assets" / "jwt_layer" / "requirements.txt"
DAY_SECONDS = 86_400
TIMES = 2000  # checks in a process
ROUNDS = 7

OURS = "from ak_lambda.jwt_authorizer.handler import handler\n"
THEIRS = "from auth import handler\n"
# As its documentation has it, with the key looked up once: nothing could be cheaper.
THEIR_MODULE = """
import os
import jwt
from agentkernel.auth import AuthValidator, ValidationResult
from agentkernel.aws import APIGatewayAuthorizer

key = None

class Validator(AuthValidator):
    def validate(self, token, context=None):
        global key
        try:
            key = key or jwt.PyJWKClient(os.environ["KEYS"]).get_signing_key_from_jwt(token)
            claims = jwt.decode(token, key, algorithms=["RS256"], audience="agents", issuer=os.environ["ISSUER"])
        except jwt.PyJWTError as error:
            return ValidationResult(is_valid=False, error_msg=str(error))
        return ValidationResult(is_valid=True, subject=claims["sub"], claims=claims)

handler = APIGatewayAuthorizer(validator=Validator()).handle
"""
FLOOR = "import jwt\nfrom cryptography.hazmat.primitives.asymmetric import rsa\n"
ONCE = """
import json, os
event = json.loads(os.environ["EVENT"])
policy = handler(event, None)
assert policy["policyDocument"]["Statement"][0]["Effect"] == "Allow", policy
"""
# Of this program alone; what the operating system tells of an ended process counts the one that started it too.
MEMORY = f"""{ONCE}
import re
print(re.search(r"VmHWM:\\s+([0-9]+) kB", open("/proc/self/status").read())[1])
"""
MANY = f"""{ONCE}
import time
began = time.process_time()
for _ in range(int(os.environ["TIMES"])):
    handler(event, None)
print((time.process_time() - began) / int(os.environ["TIMES"]))
"""


def variables(issuer: Issuer, issuers: Issuers, times: int) -> dict[str, str]:
    """Give what both sides are told, and a token."""
    now = int(time.time())
    claims = {"iss": issuer.url, "aud": "agents", "sub": "alice", "iat": now, "exp": now + DAY_SECONDS}
    token = rsa_key("rsa-1").token({**claims, "scope": "openid profile", "email": "alice@example.com"})
    return {
        "EVENT": json.dumps(event(CHAT, {"Authorization": f"Bearer {token}"})),
        "TIMES": str(times),
        "SSL_CERT_FILE": str(issuers.authority),
        "ISSUER": issuer.url,
        "KEYS": f"{issuer.url}/{KEYS}",
        "AK_CONSTRUCTS_ISSUER": issuer.url,
        "AK_CONSTRUCTS_AUDIENCE": json.dumps(["agents"]),
        "AK_CONSTRUCTS_USER_CLAIM": "sub",
        "AK_CONSTRUCTS_API_SCOPES": "[]",
        "AK_CONSTRUCTS_SCOPES": "{}",
    }


class Sides:
    """Both packages, as they ship and with bytecode."""

    def __init__(self, bench: Bench, told: dict[str, str]) -> None:
        self._bench, self._told = bench, told
        self.shipped = {"ours": bench.work / "ours-shipped", "agentkernel": bench.work / "theirs-shipped"}
        shutil.copytree(
            ROOT / "lambda_assets", self.shipped["ours"], ignore=shutil.ignore_patterns("__pycache__", "*_layer")
        )
        bench.install(self.shipped["ours"], "-r", str(PINS))
        bench.install(self.shipped["agentkernel"], *PACKAGES)
        (self.shipped["agentkernel"] / "auth.py").write_text(THEIR_MODULE, encoding="utf-8")
        self._compiled = {name: bench.work / f"{name}-compiled" for name in self.shipped}
        for name, folder in self._compiled.items():
            shutil.copytree(self.shipped[name], folder)
            subprocess.run([bench.python, "-m", "compileall", "-q", str(folder)], check=True)

    def side(self, name: str, code: str, *, bytecode: bool = True) -> Side:
        """Give a process that runs code over a package."""
        folders = self._compiled if bytecode else self.shipped
        environment = self._bench.environment(path=folders[name], bytecode=bytecode, **self._told)
        return Side(command=[self._bench.python, "-c", code], environment=environment, cwd=self._bench.work)


def starts(sides: Sides, runs: int) -> dict[str, Spread]:
    """Start a fresh interpreter that imports a handler, and one that also checks a token, keys fetched."""
    each = {"ours": OURS, "agentkernel": THEIRS}
    found = {f"{name}, import": sides.side(name, code) for name, code in each.items()}
    found |= {f"{name}, first token": sides.side(name, code + ONCE) for name, code in each.items()}
    found |= {f"{name}, as it ships": sides.side(name, code + ONCE, bytecode=False) for name, code in each.items()}
    found["floor"] = sides.side("ours", FLOOR)
    return compare(found, runs)


def in_turn(sides: Sides, rest: str) -> dict[str, list[float]]:
    """Run both sides in turn, each with code that prints a number; give the numbers, sorted."""
    taken: dict[str, list[float]] = {"ours": [], "agentkernel": []}
    for _ in range(ROUNDS):
        for name, code in (("ours", OURS), ("agentkernel", THEIRS)):
            taken[name].append(measured(sides.side(name, code + rest)))
    return {name: sorted(each) for name, each in taken.items()}


def measured(side: Side) -> float:
    """Run a process that prints one number."""
    ran = subprocess.run(side.command, env=side.environment, cwd=side.cwd, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"a side ended with status {ran.returncode}:\n{ran.stderr}")
    return float(ran.stdout.splitlines()[-1])


def rows(sides: Sides, runs: int, work: Path) -> Iterator[tuple[str, ...]]:
    """Put each measurement beside the other side's, with the goal."""
    started, checked, memory = starts(sides, runs), in_turn(sides, MANY), in_turn(sides, MEMORY)
    for label, what, goal in (
        ("import of the handler", "import", 0.5),
        ("import, keys fetched, first token", "first token", None),
        ("the same, as each ships (1)", "as it ships", None),
    ):
        ours, theirs = started[f"ours, {what}"].cpu, started[f"agentkernel, {what}"].cpu
        times = ratio(ours, theirs)
        met = at_most(times, goal) if goal else ""
        yield label, figure(ours, "ms", 1000), figure(theirs, "ms", 1000), f"{times:.2f} x", met
    alone = started["floor"].cpu
    times = ratio(started["ours, import"].cpu, alone)
    yield "import over `import jwt` and RSA alone", "", f"alone: {figure(alone, 'ms', 1000)}", f"{times:.2f} x", ""
    ours, theirs = ([each / 1024 for each in memory[name]] for name in ("ours", "agentkernel"))
    yield "memory at its peak", figure(ours, "MiB"), figure(theirs, "MiB"), f"{ratio(ours, theirs):.2f} x", ""
    ours, theirs = checked["ours"], checked["agentkernel"]
    times = ratio(ours, theirs)
    met = at_most(times, 1.2)
    yield "one token, keys known", figure(ours, "µs", 1e6), figure(theirs, "µs", 1e6), f"{times:.2f} x", met
    sizes = [zipped(folder, work / f"{name}.zip") for name, folder in sides.shipped.items()]
    small, large = (f"{size / 1e6:.1f} MB" for size in sizes)
    yield "zip, with our layer (2)", small, large, f"{sizes[0] / sizes[1]:.2f} x", ""


def report(bench: Bench, runs: int) -> str:
    """Measure everything and write it down."""
    with Issuers(bench.work).running() as issuers:
        issuer = issuers.issuer("bench", rsa_key("rsa-1"))
        sides = Sides(bench, variables(issuer, issuers, TIMES))
        lines = [f"| {' | '.join(row)} |" for row in rows(sides, runs, bench.work)]
    return TEXT.format(
        date=f"{dt.datetime.now(dt.UTC):%Y-%m-%d}",
        machine=f"{platform.system()} on {os.cpu_count()} cores of {platform.machine()}",
        versions=bench.versions(),
        runs=runs,
        rounds=ROUNDS,
        times=f"{TIMES:,}",
        packages=" ".join(PACKAGES),
        libraries=libraries(sides),
        rows="\n".join(lines),
    )


def libraries(sides: Sides) -> str:
    """Name what verifies on each side."""
    found = {
        name: ", ".join(sorted(each.name.removesuffix(".dist-info").replace("-", " ") for each in listed))
        for name, folder in sides.shipped.items()
        for listed in [[*folder.glob("pyjwt-*.dist-info"), *folder.glob("cryptography-*.dist-info")]]
    }
    return f"{found['ours']} in ours, {found['agentkernel']} in theirs"


TEXT = """## The JWT authorizer

Written by `uv run python -m benchmarks.jwt_authorizer` on {date}: {versions}; {machine}.
CPU time; medians with minimum and maximum. Processes in turn, {runs} runs each after one uncounted; one token is the
mean of {times} checks in a process, {rounds} processes each. Agent Kernel's side is its `APIGatewayAuthorizer` with a
validator of a few lines that decodes with PyJWT (RS256, issuer, audience, expiry) and looks its key up once;
{libraries}.

| what | ours | Agent Kernel with PyJWT | ratio | goal |
|---|---|---|---|---|
{rows}

The keys come from an issuer on loopback by HTTPS; ours reads two documents there, discovery and keys, theirs the keys.
(1) Without bytecode, as Lambda finds a zip; the other lines are with bytecode on both sides.
(2) Theirs with `{packages}`; both for this machine.
"""


if __name__ == "__main__":
    write(lambda runs: beside_agent_kernel(report, runs), __doc__)
