"""The audit against a service of our own on loopback, by the real pip-audit."""

import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ak_constructs.local.environment import make_environment
from scripts import audit, sbom
from scripts.project import ROOT

pytestmark = pytest.mark.local

KNOWN = {audit.CANARY: "CVE-2018-18074", ("jinja2", "2.4.1"): "CVE-2014-1402"}


class Service(BaseHTTPRequestHandler):
    """Answers as OSV does."""

    asked: list[tuple[str, str]]

    def do_POST(self) -> None:
        """Say what is known of a version."""
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        pin = (query["package"]["name"], query["version"])
        self.asked.append(pin)
        found = {"id": KNOWN[pin], "summary": "bad", "aliases": ["PYSEC-1"], "affected": []} if pin in KNOWN else None
        body = json.dumps({"vulns": [found]} if found else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    """Run the service."""
    Service.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()
        thread.join()


def test_a_known_vulnerability_fails_the_audit_until_it_is_accepted(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Found by pip-audit in a file of pins, among others that have none."""
    pins, allowed = tmp_path / "requirements.txt", tmp_path / "allowed.toml"
    pins.write_text("jinja2==2.4.1 ; sys_platform == 'win32'\nidna==3.20\n", encoding="utf-8")
    allowed.write_text("", encoding="utf-8")
    command = ["--osv-url", url, "--allowed", str(allowed), str(pins)]
    assert audit.main(command) == 1
    assert "jinja2 2.4.1: PYSEC-1 is a known vulnerability\n" in capsys.readouterr().out
    allowed.write_text('[[allowed]]\nid = "CVE-2014-1402"\nreason = "a test"\nexpires = 2999-01-01\n', encoding="utf-8")
    assert audit.main(command) == 0
    assert set(Service.asked) == {audit.CANARY, ("jinja2", "2.4.1"), ("idna", "3.20")}


def test_the_wheels_list_is_read_by_cyclonedx_own_library() -> None:
    """Which pip-audit brings: every component has its name, its address and its hashes."""
    program = (
        "import json, sys\nfrom cyclonedx.model.bom import Bom\nbom = Bom.from_json(json.load(sys.stdin))\n"
        "bom.validate()\nprint(*sorted(f'{each.purl} {len(each.hashes)}' for each in bom.components), sep='\\n')"
    )
    python = make_environment(audit.REQUIREMENTS)
    text = json.dumps(sbom.sbom())
    read = subprocess.run([python, "-c", program], input=text, capture_output=True, text=True, check=True).stdout
    components = sbom.sbom()["components"]
    assert read.splitlines() == sorted(f"{each['purl']} {len(each.get('hashes', []))}" for each in components)


def test_everything_that_is_pinned_is_asked_about(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Npm's packages too."""
    assert audit.main(["--osv-url", url]) == 0
    pins = audit.python_pins(path.read_text(encoding="utf-8") for path in audit.locked_files())
    assert pins < set(Service.asked)
    assert {"aws-cdk", "axe-core"} <= {name for name, _ in Service.asked}
    locked = audit.npm_pins(json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8")))
    assert f"audited {len(pins)} pins of Python packages and {len(locked)} of npm's" in capsys.readouterr().out
