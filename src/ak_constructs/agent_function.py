"""Run your own Python callable as a Lambda function."""

import ast
from collections.abc import Mapping
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from ak_constructs._bundling import agent_code
from ak_constructs._function import ARCHITECTURE, RUNTIME, define_log_group, define_role
from ak_constructs._validation import check_matches

DEFAULT_AGENT = "agent:respond"
DEFAULT_MEMORY_MIB = 1024
DEFAULT_TIMEOUT = cdk.Duration.seconds(29)

_AGENT = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*"


class AgentFunction(lambda_.Function):
    """Defines a Lambda function that runs your Python callable as an agent.

    ```text
    event (REST or HTTP API, direct invoke) -> runner -> your callable(turn) -> answer in the event's form
    ```

    The callable takes one `turn` and returns a `str` (the answer), returns a `dict` (sent as it is, with
    `session_id` added) or yields `str` pieces that are joined; it may be async. `turn` has `prompt`,
    `session_id`, `request_id`, `user_id` (as the authorizer says, never from a body), `agent`, `extra`
    (every other key of the request), `history`, `progress(text)` and `remaining_ms()`. Your code imports nothing
    of this library. Every file of your folder is packaged but hidden ones (`.env`, `.git`, `.venv`) and bytecode.

    When the callable raises, the caller gets 502 (503 when AWS throttled it) without the error's text, and the log
    has the error's type and place but not its message, which may quote the prompt.

    **Resources**, ids relative to the parent: `<id>` the function (`Resource`, arm64, Python 3.13, JSON logs, X-Ray),
    `<id>Role` its role, `<id>Logs` its log group (kept for 30 days, retained when the stack is deleted).

    **Permissions** of the role: `logs:CreateLogStream` and `logs:PutLogEvents` on its own log group;
    `xray:PutTraceSegments` and `xray:PutTelemetryRecords` on `*`, because X-Ray has no resources to name.
    Grant the agent what it uses: `table.grant_read_data(agent)`, `agent.add_to_role_policy(...)`.

    **Not included**: installing dependencies (not yet: the folder must be pure Python), a VPC, retries.

    Args:
        scope: The parent.
        id: The id, unique in the parent.
        entry: The folder with your code, relative to the working directory or absolute.
        agent: The callable as `module:callable`. Defaults to `respond` in `agent.py`.
        description: What the console shows. Defaults to nothing.
        environment: Variables for your code. Names that begin with `AK_CONSTRUCTS_` are taken.
        memory_size: MiB, 128 to 10240; the CPU grows with it. Defaults to 1024.
        timeout: How long one run may take, at most 900 s. Defaults to 29 s, as long as a REST API waits.

    Raises:
        ValueError: `entry` is not a folder, has a folder `ak_lambda`, or lacks what `agent` names.

    Example:
        ```python
        agent = AgentFunction(stack, "Agent", entry="examples/chat_api/agent", agent="agent:respond")
        ```

    Sources:
        Limits of Lambda: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
        X-Ray actions: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsx-ray.html
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        entry: str,
        agent: str = DEFAULT_AGENT,
        description: str | None = None,
        environment: Mapping[str, str] | None = None,
        memory_size: int = DEFAULT_MEMORY_MIB,
        timeout: cdk.Duration = DEFAULT_TIMEOUT,
    ) -> None:
        folder = Path(entry).resolve()
        _check_entry(entry, folder)
        _check_agent(agent, folder)
        _check_environment(environment or {})

        log_group = define_log_group(scope, f"{id}Logs")
        super().__init__(
            scope,
            id,
            code=agent_code(folder),
            handler="ak_lambda.agent_runner.handler.handler",
            runtime=RUNTIME,
            architecture=ARCHITECTURE,
            description=description,
            environment={**(environment or {}), "AK_CONSTRUCTS_AGENT": agent},
            memory_size=memory_size,
            timeout=timeout,
            role=define_role(scope, f"{id}Role", log_group=log_group),
            log_group=log_group,
            logging_format=lambda_.LoggingFormat.JSON,
            tracing=lambda_.Tracing.ACTIVE,
        )


def _check_entry(entry: str, folder: Path) -> None:
    if not folder.is_dir():
        raise ValueError(f"entry must be a folder, got {entry!r} ({folder}); give the folder that holds the agent")
    if (folder / "ak_lambda").exists():
        raise ValueError(f"entry must not have a folder named ak_lambda, {entry!r} has; rename it")


def _check_agent(agent: str, folder: Path) -> None:
    check_matches("agent", agent, _AGENT, "write module:callable, such as agent:respond for respond() in agent.py")
    module, _, attribute = agent.partition(":")
    path = folder.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if not file.is_file():
        raise ValueError(f"agent must name a module in {folder}, got {agent!r} but there is no {file.name}")
    name = attribute.partition(".")[0]
    names = _names(ast.parse(file.read_bytes(), str(file)))
    if name not in names and "*" not in names:
        raise ValueError(f"agent must name a callable in {file}, got {agent!r} but nothing there is called {name!r}")


def _names(module: ast.Module) -> set[str]:
    """Every name a module may define, nested ones and `*` too: what it really has shows only on import."""
    names: set[str] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).partition(".")[0])
    return names


def _check_environment(environment: Mapping[str, str]) -> None:
    for name in environment:
        if name.startswith("AK_CONSTRUCTS_"):
            raise ValueError(f"environment must not set names that begin with AK_CONSTRUCTS_, got {name!r}; rename it")
