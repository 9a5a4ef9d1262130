"""A stand-in for API Gateway's management API over HTTP: each post takes a while, and is counted.

    python -m benchmarks.callback_api 25

Prints its port; `GET /` gives how many posts there were, and forgets them.
"""

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

posts: list[str] = []


class Handler(BaseHTTPRequestHandler):
    """Takes posts to connections, whose connections to itself it keeps open."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Take a post."""
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(float(sys.argv[1]) / 1000)
        posts.append(self.path)
        self._answer(b"")

    def do_GET(self) -> None:
        """Say how many posts there were."""
        count = len(posts)
        posts.clear()
        self._answer(json.dumps(count).encode())

    def log_message(self, *_args: object) -> None:
        """Say nothing."""

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    server.serve_forever()
