"""What we add to the emulator's WebSocket APIs: each fails when a private name of the pinned version moves."""

import json
import time
from collections.abc import Iterator
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_apigatewayv2 as apigatewayv2
from aws_cdk import aws_apigatewayv2_authorizers as authorizers
from aws_cdk import aws_apigatewayv2_integrations as integrations
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from botocore.credentials import Credentials
from websockets import Subprotocol
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import ClientConnection, connect

from ak_constructs.local.emulator import Emulator
from ak_constructs.local.logs import client, log_lines
from ak_constructs.local.signing import signed_headers
from test.local.stacks import create, new_stack

pytestmark = pytest.mark.local

CODE = """
import json, time
import boto3

print("begun")

def handler(event, context):
    asked = event["requestContext"]
    if asked["eventType"] == "CONNECT":
        print(json.dumps({"signer": asked["identity"].get("user", "nobody")}))
        offered = event["headers"].get("Sec-WebSocket-Protocol")
        connected = {"statusCode": 200}
        return {**connected, "headers": {"Sec-WebSocket-Protocol": "bearer"}} if offered else connected
    if asked["eventType"] == "DISCONNECT":
        return {"statusCode": 200}
    body = json.loads(event["body"])
    if "error" in body:
        raise ValueError(body["error"])
    time.sleep(body.get("sleep", 0))
    if "post" in body:
        endpoint = f"https://{asked['domainName']}/{asked['stage']}"
        posts = boto3.client("apigatewaymanagementapi", endpoint_url=endpoint)
        try:
            posts.post_to_connection(ConnectionId=asked["connectionId"], Data=b"p" * body["post"])
        except posts.exceptions.PayloadTooLargeException as error:
            return {"statusCode": 200, "body": type(error).__name__}
        return {"statusCode": 200}
    return {"statusCode": 200, "body": json.dumps({**asked, "bytes": len(event["body"])})}
"""
CREDENTIALS = Credentials("test", "test")
FRAME_BYTES = 32 * 1024


class Sockets:
    """Two WebSocket APIs of one function."""

    def __init__(self, aws: Emulator, outputs: dict[str, str]) -> None:
        self.aws = aws
        self.outputs = outputs

    def connect(self, api: str = "Url", **options: Any) -> ClientConnection:  # noqa: ANN401
        """Open a connection."""
        opened: ClientConnection = connect(self.aws.reachable(self.outputs[api]), compression=None, **options)
        return opened

    def asks(self, socket: ClientConnection, **message: object) -> Any:  # noqa: ANN401
        """Send a message and give what comes."""
        socket.send(json.dumps(message))
        return json.loads(socket.recv(timeout=10))


@pytest.fixture(scope="module")
def sockets(aws: Emulator) -> Iterator[Sockets]:
    """Deploy them."""
    stack = new_stack("Sockets")
    group = logs.LogGroup(stack, "LogGroup")
    function = lambda_.Function(
        stack,
        "Function",
        code=lambda_.Code.from_inline(CODE),
        handler="index.handler",
        runtime=lambda_.Runtime.PYTHON_3_12,
        timeout=cdk.Duration.seconds(10),
        log_group=group,
    )
    for name, authorizer in (("Url", None), ("SignedUrl", authorizers.WebSocketIamAuthorizer())):
        integration = integrations.WebSocketLambdaIntegration("Integration", function)
        api = apigatewayv2.WebSocketApi(
            stack,
            f"{name}Api",
            route_selection_expression="$request.body.route",
            connect_route_options=apigatewayv2.WebSocketRouteOptions(integration=integration, authorizer=authorizer),
        )
        api.add_route("one-way", integration=integration)
        api.add_route("two-way", integration=integration, return_response=True)
        stage = apigatewayv2.WebSocketStage(stack, f"{name}Stage", web_socket_api=api, stage_name="prod")
        cdk.CfnOutput(stack, name, value=stage.url)
    cdk.CfnOutput(stack, "LogGroupName", value=group.log_group_name)
    yield Sockets(aws, create(aws, stack))
    client("cloudformation", aws).delete_stack(StackName=stack.stack_name)


def test_the_protocol_that_connect_chose_reaches_the_client(sockets: Sockets) -> None:
    """It was dropped, and a browser that offers one hangs up."""
    with sockets.connect(subprotocols=[Subprotocol("bearer"), Subprotocol("token")]) as socket:
        assert socket.subprotocol == "bearer"
    with sockets.connect() as socket:
        assert socket.subprotocol is None


def test_functions_are_told_when_the_connection_began_and_where_to_post(sockets: Sockets) -> None:
    """It began anew with every message; and its domain was one of the emulator's."""
    with sockets.connect() as socket:
        first = sockets.asks(socket, route="two-way")
        time.sleep(0.01)
        second = sockets.asks(socket, route="two-way")
    assert first["connectedAt"] == second["connectedAt"] < first["requestTimeEpoch"] < second["requestTimeEpoch"]
    assert abs(first["connectedAt"] / 1000 - time.time()) < 60
    assert first["domainName"] == f"{first['apiId']}.execute-api.us-east-1.amazonaws.com"


def test_what_is_posted_to_its_address_on_aws_arrives(sockets: Sockets) -> None:
    """By a function that knows nothing of the emulator."""
    with sockets.connect() as socket:
        socket.send(json.dumps({"route": "one-way", "post": 5}))
        assert socket.recv(timeout=10) == "ppppp"


def test_only_a_route_with_a_response_answers(sockets: Sockets) -> None:
    """Every route did."""
    with sockets.connect() as socket:
        socket.send(json.dumps({"route": "one-way"}))
        assert sockets.asks(socket, route="two-way")["routeKey"] == "two-way"


@pytest.mark.parametrize("route", ["one-way", "two-way"])
def test_a_failure_is_told_without_its_words(sockets: Sockets, route: str) -> None:
    """They were sent to the client."""
    with sockets.connect() as socket:
        told = sockets.asks(socket, route=route, error="SECRET")
    assert told.keys() == {"message", "connectionId", "requestId"}
    assert told["message"] == "Internal server error"


def test_routes_run_side_by_side_and_are_logged(sockets: Sockets) -> None:
    """One environment served all connections, one after another, and its logs were lost."""
    with sockets.connect() as first, sockets.connect() as second:
        for socket in (first, second):  # two environments, if they are needed
            socket.send(json.dumps({"route": "two-way", "sleep": 1}))
        (one, other) = (json.loads(socket.recv(timeout=10)) for socket in (first, second))
        started = time.monotonic()
        for socket in (first, second):
            socket.send(json.dumps({"route": "two-way", "sleep": 1}))
        for socket in (first, second):
            socket.recv(timeout=10)
        assert time.monotonic() - started < 1.8
    assert one["connectionId"] != other["connectionId"]
    assert "begun" in [line.get("message") for line in log_lines(sockets.aws, sockets.outputs["LogGroupName"])]


def send_and_hear(socket: ClientConnection, frames: list[str]) -> None:
    """Send a message in frames; the connection may be closed while some are still to be sent."""
    socket.send(frames)
    socket.recv(timeout=10)


def test_sizes_are_limited(sockets: Sockets) -> None:
    """A frame of 32 KB, a message of 128 KB; there was no limit."""
    with sockets.connect() as socket:
        envelope = len(json.dumps({"route": "two-way", "text": ""}))
        assert sockets.asks(socket, route="two-way", text="x" * (FRAME_BYTES - envelope))["bytes"] == FRAME_BYTES
        socket.send([json.dumps({"route": "two-way", "text": "y" * FRAME_BYTES})[:FRAME_BYTES], "y" * 100 + '"}'])
        assert json.loads(socket.recv(timeout=10))["routeKey"] == "two-way", "two frames of one message"
        assert sockets.asks(socket, route="two-way", text="x" * (FRAME_BYTES - envelope))["bytes"] == FRAME_BYTES
    for frames in (["x" * (FRAME_BYTES + 1)], ["é" * (FRAME_BYTES // 2 + 1)], ["x" * FRAME_BYTES] * 4 + ["x"]):
        with sockets.connect() as socket:
            with pytest.raises(ConnectionClosedError) as closed:
                send_and_hear(socket, frames)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1009


def test_what_is_posted_is_limited_too(sockets: Sockets) -> None:
    """A frame's worth: nothing splits it."""
    with sockets.connect() as socket:
        socket.send(json.dumps({"route": "two-way", "post": FRAME_BYTES}))
        assert socket.recv(timeout=10) == "p" * FRAME_BYTES
        socket.send(json.dumps({"route": "two-way", "post": FRAME_BYTES + 1}))
        assert socket.recv(timeout=10) == "PayloadTooLargeException"


def test_connect_is_told_who_signed(sockets: Sockets) -> None:
    """And no message is."""
    url = sockets.aws.reachable(sockets.outputs["SignedUrl"])
    headers = signed_headers("GET", url.replace("ws://", "http://"), b"", credentials=CREDENTIALS, region="us-east-1")
    with sockets.connect("SignedUrl", additional_headers=headers) as socket:
        assert "user" not in sockets.asks(socket, route="two-way")["identity"]
    signers = {line["signer"] for line in log_lines(sockets.aws, sockets.outputs["LogGroupName"]) if "signer" in line}
    assert signers == {"nobody", "000000000000"}
