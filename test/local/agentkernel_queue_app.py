"""A CDK app for the tests: Agent Kernel, unmodified, behind queues of ours; its argument is a Python version.

Two releases of Agent Kernel, each behind an API that waits for answers and behind one that does not; and the newer one
behind WebSockets, in both of its modes for them.
"""

import platform
import shutil
import sys
import tempfile
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_

from ak_constructs import AgentFunction, Authorization, QueuedAgentPipeline, WebSocketAgentApi

HERE = Path(__file__).parent
PINS = {
    "0.9.5": HERE / "agentkernel" / "requirements.txt",
    "0.6.0": HERE / "agentkernel_queue" / "requirements-0.6.0.txt",
}
MODES = ("rest_sync", "rest_async")
SOCKET_VERSION, SOCKET_MODES = "0.9.5", ("async", "stream")
ARCHITECTURE = lambda_.Architecture.X86_64 if platform.machine() == "x86_64" else lambda_.Architecture.ARM_64
AUTHORIZER = """
def handler(event, context):
    kind, _, user = event["headers"].get("Authorization", "").partition(" ")
    effect = "Allow" if kind == "Bearer" and user else "Deny"
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": event["methodArn"]}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    return {"principalId": "user", "policyDocument": policy, "context": {"userId": user}}
"""


def runtime(python: str) -> lambda_.Runtime:
    """Give the runtime of the Python that runs the functions here."""
    return lambda_.Runtime(f"python{python}", lambda_.RuntimeFamily.PYTHON, supports_inline_code=True)


def copy_entry(version: str, target: Path) -> Path:
    """Put the agent beside a release's pins."""
    entry = target / version
    shutil.copytree(HERE / "agentkernel_queue", entry, ignore=shutil.ignore_patterns("requirements*", "__pycache__"))
    shutil.copy(PINS[version], entry / "requirements.txt")
    return entry


def define_authorizer(stack: cdk.Stack, python: str) -> lambda_.Function:
    """Let in whoever names a user, for everybody's good."""
    code = lambda_.Code.from_inline(AUTHORIZER)
    return lambda_.Function(stack, "Authorizer", code=code, handler="index.handler", runtime=runtime(python))


def define_agent(stack: cdk.Stack, id: str, *, entry: Path, python: str) -> AgentFunction:
    """Define an agent of Agent Kernel."""
    return AgentFunction(
        stack,
        id,
        entry=entry,
        handler="lambda_agent_runner.handler",
        architecture=ARCHITECTURE,
        runtime=runtime(python),
        timeout=cdk.Duration.seconds(20),
    )


def define(stack: cdk.Stack, python: str, work: Path) -> None:
    """Define everything, and outputs to reach it by."""
    authorization = Authorization.lambda_function(define_authorizer(stack, python), user_key="userId")
    for version in PINS:
        entry = copy_entry(version, work)
        for mode in MODES:
            name = f"V{version}-{mode}".translate({ord("."): None, ord("-"): None, ord("_"): None})
            agent = define_agent(stack, f"{name}Agent", entry=entry, python=python)
            pipeline = QueuedAgentPipeline(stack, name, agent=agent, mode=mode, authorization=authorization)
            queue = pipeline.queue
            for output, value in {
                "Url": pipeline.chat_url,
                "LogGroup": agent.log_group.log_group_name,
                "RequestQueue": queue.request_queue.queue_url,
                "Parked": queue.parked_queue.queue_url,
                "Sessions": queue.session_store.table.table_name if queue.session_store.table else "",
            }.items():
                cdk.CfnOutput(stack, f"{name}{output}", value=value)
        for mode in SOCKET_MODES if version == SOCKET_VERSION else ():
            agent = define_agent(stack, f"{mode}Agent", entry=entry, python=python)
            sockets = WebSocketAgentApi(stack, f"Socket{mode}", agent=agent, mode=mode, authorization=authorization)
            cdk.CfnOutput(stack, f"Socket{mode}Url", value=sockets.url)


if __name__ == "__main__":
    app = cdk.App()
    with tempfile.TemporaryDirectory(prefix="agentkernel-queue-") as work:
        define(cdk.Stack(app, "AgentKernelQueue"), sys.argv[1], Path(work))
        app.synth()
