"""Borrowing a Python from Debian: nothing is taken that Debian's key has not signed."""

import functools
import hashlib
import http.server
import threading
from pathlib import Path

import pytest

from scripts import debian_python

LISTED = b"Package: python3.14\nVersion: 1\nArchitecture: amd64\nFilename: pool/p.deb\nSize: 1\nSHA256: %s\n\n"
RELEASE = """Origin: Debian
Suite: unstable
Codename: sid
Date: Sun, 22 Nov 2026 00:00:00 UTC
Architectures: amd64
Components: main
SHA256:
 {hash} {size} main/binary-amd64/Packages
"""


def test_a_mirror_without_a_signature_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where this machine's own settings would let it: no package is fetched."""
    suite = tmp_path / "mirror" / "dists" / "sid"
    (suite / "main" / "binary-amd64").mkdir(parents=True)
    packages = LISTED % hashlib.sha256(b"x").hexdigest().encode()
    (suite / "main" / "binary-amd64" / "Packages").write_bytes(packages)
    release = RELEASE.format(hash=hashlib.sha256(packages).hexdigest(), size=len(packages))
    (suite / "Release").write_text(release, encoding="utf-8")
    (tmp_path / "mirror" / "pool").mkdir()
    (tmp_path / "mirror" / "pool" / "p.deb").write_bytes(b"x")
    asked: list[str] = []

    class Mirror(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_arguments: object) -> None:
            """Remember what was asked for."""
            asked.append(self.path)

    lax = 'Acquire::AllowInsecureRepositories "true";\nAPT::Get::AllowUnauthenticated "true";\n'
    (tmp_path / "apt.conf").write_text(lax, encoding="utf-8")
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    handler = functools.partial(Mirror, directory=str(tmp_path / "mirror"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        source = debian_python.SOURCE.replace("http://deb.debian.org/debian", f"http://127.0.0.1:{server.server_port}")
        assert debian_python.borrow("3.14", tmp_path / "python", source) is None
        server.shutdown()
    assert [path for path in asked if "pool" in path] == []
    assert asked or not debian_python.KEYS.is_file(), "the mirror was asked"
