# mypy: ignore-errors
"""A CDK app: an agent whose answers stream to browsers, for users whom an OpenID Connect issuer signs in.

    cdk deploy --app "python -m examples.websocket_chat.app" -c issuer=https://issuer.example.com -c audience=chat

With the context `authority`, a file, the authorizer believes that authority alone: the demo's issuer is on loopback.
"""

import platform
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from ak_constructs import AgentFunction, AgentQueue, Authorization, SessionStore, WebSocketAgentApi

ISSUER, AUDIENCE = "https://issuer.example.com", "chat"
HERE = lambda_.Architecture.X86_64 if platform.machine() == "x86_64" else lambda_.Architecture.ARM_64


class WebSocketChatStack(cdk.Stack):
    """Defines the agent, its WebSocket API, and the address for the page's config.json as an output."""

    def __init__(
        self, scope: Construct, id: str, *, issuer: str = ISSUER, audience: str = AUDIENCE, authority: str | None = None
    ) -> None:
        super().__init__(scope, id)
        agent = AgentFunction(self, "Agent", entry=Path(__file__).parent / "agent", timeout=cdk.Duration.minutes(5))
        sessions = SessionStore(self, "Sessions", history_turns=5)
        queue = AgentQueue(self, "Queue", agent=agent, session_store=sessions)
        proof = Authorization.jwt(issuer=issuer, audience=[audience], architecture=HERE if authority else None)
        api = WebSocketAgentApi(self, "Api", agent=queue, authorization=proof)
        if authority and api.authorizer_function:
            api.authorizer_function.add_environment("SSL_CERT_FILE", authority)
        cdk.CfnOutput(self, "Url", value=api.url)


if __name__ == "__main__":
    app = cdk.App()
    given = {name: app.node.try_get_context(name) for name in ("issuer", "audience", "authority")}
    WebSocketChatStack(app, "WebSocketChat", **{name: value for name, value in given.items() if value})
    app.synth()
