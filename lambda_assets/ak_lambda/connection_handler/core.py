"""Decides what a client of a WebSocket is told that sends nothing to the agent. Plain values in, plain values out."""

import json
from collections.abc import Mapping
from typing import Any

from ak_lambda.shared import frames
from ak_lambda.shared.fields import json_type, mapping
from ak_lambda.shared.frames import Frame
from ak_lambda.shared.requests import RESUME, ROUTE, named_request, socket_payload

PING = "ping"
MAX_SHOWN = 40  # characters of a wrong route

_BEARER = "bearer"
_SUBPROTOCOLS = "sec-websocket-protocol"


def headers(event: Mapping[str, Any]) -> dict[str, str]:
    """Answer a client that offered `bearer` with it: a browser that offers one and gets none hangs up."""
    many = [mapping(event.get("multiValueHeaders")), mapping(event.get("headers"))]
    values = [value for each in many for name, value in each.items() if str(name).lower() == _SUBPROTOCOLS]
    offered = ",".join(str(each) for value in values for each in (value if isinstance(value, list) else [value]))
    return {"Sec-WebSocket-Protocol": _BEARER} if _BEARER in map(str.strip, offered.split(",")) else {}


def unknown_route(message: Mapping[str, Any], chat_route: str) -> Frame:
    """Tell which routes there are."""
    route = message.get(ROUTE)
    request_id = named_request(socket_payload(message))
    if not isinstance(route, str):
        return frames.system(400, f"{ROUTE} must be a string, got {json_type(route)}", request_id=request_id)
    routes = f'"{chat_route}", "{RESUME}", "{PING}" or one that this API adds'
    got = json.dumps(route[:MAX_SHOWN])  # in ASCII, whatever it is
    return frames.system(404, f"{ROUTE} must be {routes}, got {got}", request_id=request_id)
