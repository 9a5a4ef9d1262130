"""Asks an agent by its REST API: an `AgentApi`, or a `QueuedAgentPipeline`, whose progress is polled."""

import json
import time
from typing import Any
from urllib.parse import urljoin

import httpx

from ak_constructs.local.answers import Asked, RefusedError, Screen
from ak_constructs.local.signing import CREDENTIALS, REGION, signed_headers

TIMEOUT_SECONDS = 35  # longer than API Gateway's own
GIVE_UP_SECONDS = 900  # what a function may take
WAIT_SECONDS = 1  # of each poll of a queue's answer, for the next word of progress
REFUSED = "the API refused this (%d): with Authorization.jwt or cognito it needs --token, with api_key an own client"


def ask(asked: Asked, screen: Screen) -> dict[str, Any]:
    """Ask, follow the answer's location while there is none yet, and give its JSON object."""
    message = {"prompt": asked.prompt, "session_id": asked.session_id, "request_id": asked.request_id}
    deadline = time.monotonic() + GIVE_UP_SECONDS
    with httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False) as http:
        response = _call(http, "POST", asked.address, asked.token, json.dumps(message).encode())
        while response.status_code == httpx.codes.ACCEPTED and "Location" in response.headers:
            if time.monotonic() > deadline:
                raise RefusedError(f"no answer within {GIVE_UP_SECONDS} s")
            if progress := response.json().get("progress"):
                screen.progress(progress)
            location = urljoin(str(response.url), response.headers["Location"])
            response = _call(http, "GET", location, asked.token)
        if response.status_code == httpx.codes.SEE_OTHER:  # a large answer lies in S3
            response = http.get(response.headers["Location"])
    if response.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN} and asked.token is None:
        raise RefusedError(REFUSED % response.status_code)
    if response.status_code != httpx.codes.OK:
        raise RefusedError(f"the API answered {response.status_code}: {response.text[:500]}")
    answer: dict[str, Any] = response.json()
    return answer


def _call(http: httpx.Client, method: str, url: str, token: str | None, body: bytes = b"") -> httpx.Response:
    if token is None:
        headers = signed_headers(method, url, body, credentials=CREDENTIALS, region=REGION)
    else:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    try:
        return http.request(method, url, content=body, headers={**headers, "Prefer": f"wait={WAIT_SECONDS}"})
    except httpx.TransportError as error:
        raise RefusedError(f"the API cannot be reached: {error!r}") from error
