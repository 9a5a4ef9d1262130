"""What the emulator's WebSocket APIs lack; imported by `patched_ministack.py` alone, in the emulator's own Python.

Everything named with an underscore is private to MiniStack: the version is pinned, and a test fails when one moves.
"""

import asyncio
import contextvars
import json
import threading
import time
from typing import Any

from hypercorn.protocol import ws_stream
from ministack.core import lambda_runtime
from ministack.core.responses import get_region
from ministack.services import apigateway, apigateway_v1, lambda_svc

# https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
# read 2026-11-21
MAX_FRAME_BYTES = 32 * 1024
MAX_MESSAGE_BYTES = 128 * 1024
AT_ONCE = 4  # runs of routes, and as many of authorizers, each in a process; others wait, where on AWS none does
_socket: contextvars.ContextVar[dict[str, Any]] = contextvars.ContextVar("_socket")  # what is known of a connection


def patch() -> None:
    """Do all of it."""
    remember_connections()
    say_what_aws_says()
    run_side_by_side()
    answer_as_routes_say()
    know_signers()
    limit_sizes()


def remember_connections() -> None:
    """Keep something for as long as a connection lives, and accept it with the sub-protocol that `$connect` chose."""
    handle = apigateway.handle_websocket

    async def handle_and_remember(scope: Any, receive: Any, send: Any, *arguments: Any, **options: Any) -> None:
        socket: dict[str, Any] = {"connectedAt": int(time.time() * 1000)}
        _socket.set(socket)

        async def send_with_protocol(message: dict[str, Any]) -> None:
            if message["type"] == "websocket.accept" and "protocol" in socket:
                message = {**message, "subprotocol": socket["protocol"]}
            await send(message)

        await handle(scope, receive, send_with_protocol, *arguments, **options)

    apigateway.handle_websocket = handle_and_remember


def say_what_aws_says() -> None:
    """Tell functions when the connection began, not what time it is; the API's name on AWS; headers in their case."""
    build = apigateway._ws_request_context

    def build_context(api_id: str, route: str, stage: str, connection_id: str, event: str, *others: Any) -> Any:
        context = build(api_id, route, stage, connection_id, event, *others)
        socket = _socket.get()
        context["connectedAt"] = socket["connectedAt"]
        context["domainName"] = f"{api_id}.execute-api.{get_region()}.amazonaws.com"
        if event == "CONNECT":
            context["identity"] |= socket.get("identity", {})
        return context

    apigateway._ws_request_context = build_context
    fields = apigateway._ws_connect_fields

    def fields_with_case(headers: dict[str, Any], query: Any) -> Any:
        return fields({name.title().replace("Websocket", "WebSocket"): each for name, each in headers.items()}, query)

    apigateway._ws_connect_fields = fields_with_case


def run_side_by_side() -> None:
    """Run routes as other functions run: each in an environment of its own, with logs; all shared one, and had none."""
    places = threading.BoundedSemaphore(AT_ONCE)
    lambda_runtime.get_or_create_worker  # noqa: B018 - raises when it has moved

    class Runner:
        def __init__(self, name: str, config: dict[str, Any], code_zip: bytes, **_others: Any) -> None:
            self._function = {**lambda_svc._functions.get(name, {}), "code_zip": code_zip, "config": config}

        def invoke(self, event: dict[str, Any], _request_id: str) -> dict[str, Any]:
            with places:
                ended = lambda_svc._execute_function(self._function, event)
            if ended.get("throttle") or ended.get("error"):
                return {"status": "ok", "result": {"statusCode": 500, "failed": True}}
            found = ended.get("body")
            return {"status": "ok", "result": json.loads(found) if isinstance(found, (str, bytes)) else found}

    lambda_runtime.get_or_create_worker = Runner
    authorize = apigateway._authorize_ws_connect
    authorizers = asyncio.Semaphore(AT_ONCE)

    async def authorize_in_turn(*arguments: Any) -> Any:
        async with authorizers:
            return await authorize(*arguments)

    apigateway._authorize_ws_connect = authorize_in_turn


def answer_as_routes_say() -> None:
    """Send what a function returns only where its route has a response; what failed is told as AWS tells it.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-route-response.html,
    read 2026-11-21: without a route response, a route is one-way.
    """
    invoke = apigateway._invoke_ws_lambda

    async def invoke_and_choose(*arguments: Any, **options: Any) -> Any:
        route, connection_id, event, message_id = arguments[3], *arguments[5:8]
        answer = await invoke(*arguments, **options)
        answer = answer if isinstance(answer, dict) else {"statusCode": 500, "failed": True}
        if event == "CONNECT":
            headers = {str(name).lower(): value for name, value in (answer.get("headers") or {}).items()}
            if "sec-websocket-protocol" in headers:
                _socket.get()["protocol"] = headers["sec-websocket-protocol"]
            return answer
        if answer.get("failed"):
            told = {"message": "Internal server error", "connectionId": connection_id, "requestId": message_id}
            return {**answer, "body": json.dumps(told)}
        return answer if route.get("routeResponseSelectionExpression") else {**answer, "body": None}

    apigateway._invoke_ws_lambda = invoke_and_choose


def know_signers() -> None:
    """Tell `$connect` who signed for it, as a REST API tells its functions."""
    authorize = apigateway._authorize_ws_iam

    def authorize_and_tell(scope: Any, arn: str, headers: Any, query: Any, region: str) -> Any:
        _socket.get()["identity"] = apigateway_v1._iam_caller_identity(headers, query) or {}
        return authorize(scope, arn, headers, query, region)

    apigateway._authorize_ws_iam = authorize_and_tell


def limit_sizes() -> None:
    """Close a connection whose client sends what is too large, and refuse to post that; there was no limit."""

    class Buffer(ws_stream.WebsocketBuffer):
        frame_bytes = message_bytes = 0
        refused = False

        def extend(self, event: Any) -> None:
            if self.refused:  # what is still under way, its answer to our close not among it
                return
            size = len(event.data.encode() if isinstance(event.data, str) else event.data)
            self.frame_bytes += size
            self.message_bytes += size
            if self.frame_bytes > MAX_FRAME_BYTES or self.message_bytes > MAX_MESSAGE_BYTES:
                self.refused = True
                raise ws_stream.FrameTooLargeError
            if event.frame_finished:
                self.frame_bytes = 0
            super().extend(event)

        def clear(self) -> None:
            self.message_bytes = 0
            super().clear()

        def to_message(self) -> dict[str, Any]:
            return {"type": "refused"} if self.refused else super().to_message()

    ws_stream.WebsocketBuffer = Buffer
    handle = apigateway.handle_connections_api

    async def handle_small(*arguments: Any) -> Any:
        method, body = arguments[0], arguments[4]
        if method == "POST" and len(body) > MAX_FRAME_BYTES:
            said = {"Content-Type": "application/json", "x-amzn-ErrorType": "PayloadTooLargeException"}
            return 413, said, json.dumps({"message": "Message too long"}).encode()
        return await handle(*arguments)

    apigateway.handle_connections_api = handle_small
