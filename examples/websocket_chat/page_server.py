"""Serves the page on loopback, with a config.json that says where the API is and brings a token."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent / "page"
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",  # the rest is in the page; this one works in a header only
    "X-Content-Type-Options": "nosniff",
}


@contextlib.contextmanager
def served(config: Callable[[], Mapping[str, str]]) -> Iterator[str]:
    """Serve the page until the end of the block and give its address.

    Args:
        config: Gives `url` and `token`; asked each time the page connects.
    """
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Page, config)) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join(5)


class _Page(SimpleHTTPRequestHandler):
    def __init__(self, config: Callable[[], Mapping[str, str]], *arguments: Any) -> None:  # noqa: ANN401 - the server's own
        self._config = config
        super().__init__(*arguments, directory=str(PAGE))

    def do_GET(self) -> None:
        """Answer with a file of the page, or with the token; not to another site whose name leads here."""
        if self.headers.get("Host", "").partition(":")[0] != "127.0.0.1":
            self.send_error(403)
        elif self.path == "/config.json":
            body = json.dumps(self._config()).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        else:
            super().do_GET()

    def end_headers(self) -> None:
        """Say what browsers must not do."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *_arguments: object, **_named: object) -> None:
        """Print nothing."""
