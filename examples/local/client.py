"""Calls an API as a backend on AWS would: over HTTP, signed with SigV4."""

import json
from typing import Any

import httpx
from botocore.credentials import Credentials

from ak_constructs.local.signing import signed_headers

TIMEOUT_SECONDS = 35  # longer than API Gateway's own


class RefusedError(Exception):
    """The API refused a message, or its agent failed."""


def chat(url: str, message: dict[str, Any], *, credentials: Credentials, region: str = "us-east-1") -> dict[str, Any]:
    """Send one message and give the answer's JSON object; raise when the API refuses or the agent fails."""
    body = json.dumps(message).encode()
    headers = signed_headers("POST", url, body, credentials=credentials, region=region)
    response = httpx.post(url, content=body, headers=headers, timeout=TIMEOUT_SECONDS)
    if response.status_code != httpx.codes.OK:
        raise RefusedError(f"the API answered {response.status_code}: {response.text[:500]}")
    answer: dict[str, Any] = response.json()
    return answer
