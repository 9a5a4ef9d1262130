"""Run your own Python callable as a Lambda function."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from ak_constructs._bundling import AgentPackage, platform_of
from ak_constructs._encryption import check_key
from ak_constructs._entry import check_defined, check_entry
from ak_constructs._function import ARCHITECTURE, RUNTIME, define_log_group, define_role
from ak_constructs._limits import LAMBDA_PYTHON_RUNTIMES
from ak_constructs._local_bundling import telling
from ak_constructs._secrets import check_secrets, grant_secrets, secrets_variable
from ak_constructs._validation import check_matches

if TYPE_CHECKING:
    from ak_constructs.session_store import SessionStore

DEFAULT_AGENT = "agent:respond"
DEFAULT_MEMORY_MIB = 1024
DEFAULT_TIMEOUT = cdk.Duration.seconds(29)

_HANDLER = r"[A-Za-z_]\w*([./][A-Za-z_]\w*)*\.[A-Za-z_]\w*"
_AGENT = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*"


class AgentFunction(lambda_.Function):
    """Defines a Lambda function that runs your Python callable as an agent.

    ```text
    event (REST or HTTP API, direct invoke, `AgentQueue`) -> runner -> your callable(turn) -> answer in the event's form
    ```

    The callable takes one `turn` and returns a `str` (the answer), returns a `dict` (sent as it is, with `session_id`
    added) or yields `str` pieces that are joined; it may be async. `turn` has `prompt`, `session_id`, `request_id`,
    `user_id` (as was proved; a body's for trusted backends only), `agent`, `extra` (every other key of the request),
    `history` (the last turns, where a `SessionStore` is attached), `progress(text)` and `remaining_ms()`. Your code
    imports nothing of this library.

    When the callable raises, the caller gets 502 (503 when AWS throttled it) without the error's text, and the log
    has the error's type and place but not its message, which may quote the prompt. A `dict` with `error` and without
    `result` is a failure too, and its text is shown.

    **Who asks** is known behind `AgentApi`. Behind an API of another kind `user_id` is None. A direct invoke
    (`{"prompt": "..."}`) may name a `user_id`: IAM decides who may invoke, and those speak for their users.

    **The package** is your folder, its dependencies and our runner, side by side, put together without Docker. Hidden
    files (`.env`, `.git`, `.venv`), bytecode, virtual environments, `node_modules` and CDK's output stay out;
    everything else goes in, so keep keys elsewhere. Dependencies come from `requirements.txt` with every package pinned
    by `==` (hashes are checked where there are any), or else from `pyproject.toml` with its `uv.lock`; uv installs them
    from wheels for the
    function's architecture and Python version. It is taken from the path or from the extra `ak-constructs[bundling]`;
    with nothing to install it is not needed. boto3 and what it needs are in Lambda's runtime and left out unless you
    pin them. The same folder gives the same asset on every machine, and a second synth into the same output installs
    nothing. Packages without wheels can be installed in Docker by `PythonLayerVersion` of
    `aws-cdk.aws-lambda-python-alpha`, from a folder of their own, and given as `layers`.

    **A handler of your own**, with `handler` instead of `agent`, is called by Lambda itself: `agentkernel`, Mangum,
    anything. What depends on our runner (the `turn`, the errors' form, the log lines, pings) is then yours.

    **Secrets**, given by `secrets`, are in environment variables when your code is imported. The template and the
    function's configuration have their ARNs and no value. Each environment reads them when it starts, and again before
    a run: when they are 5 minutes old; after a failed run; and for a message that a queue delivers again, so that a
    rotation without overlap costs a message one run. Between two readings are at least 10 s, and a ping reads nothing.
    What holds an old value stays old: make your client in the callable, or cache it by the value. While a service
    cannot be reached the last values stay. Where there are none yet, the caller gets 503, or 502 if a secret is missing
    or denied, your code does not run, the next request tries again, and the log names the secret and what to do, never
    a value. A handler of your own is called by one of ours, which raises in that case. A snapshot of `snap_start` has
    the values too; an environment that starts from it reads them again if they are too old. In a `vpc` the services
    must be reachable.

    **Resources**, ids relative to the parent: `<id>` the function (arm64, Python 3.13, JSON logs, X-Ray), `<id>Role`
    its role, `<id>Logs` its log group (kept for 30 days, retained when the stack is deleted); the last two only if
    `role` and `log_group` are left out.

    **Permissions** of the role: `logs:CreateLogStream` and `logs:PutLogEvents` on the log group;
    `xray:PutTraceSegments` and `xray:PutTelemetryRecords` on `*`, because X-Ray has no resources to name; in a VPC
    `ec2:AssignPrivateIpAddresses`, `ec2:CreateNetworkInterface`, `ec2:DeleteNetworkInterface`,
    `ec2:DescribeNetworkInterfaces`, `ec2:DescribeSubnets` and `ec2:UnassignPrivateIpAddresses` on `*`, because the
    interfaces do not exist yet; these are for Lambda itself, and denied to your code. For `secrets`:
    `secretsmanager:GetSecretValue` on each secret, `ssm:GetParameter` on each parameter, and `kms:Decrypt` on a key of
    yours that CDK knows one of them to have, through the service that has it only. With a `key` nothing more: for the
    variables Lambda makes a grant at each deployment. Grant the agent what it uses: `table.grant_read_data(agent)`,
    `agent.add_to_role_policy(...)`.

    **Not included**: retries, provisioned concurrency (make an alias), VPC endpoints.

    Args:
        scope: The parent.
        id: The id, unique in the parent.
        entry: The folder with your code, relative to the working directory or absolute.
        agent: The callable as `module:callable`. Defaults to `respond` in `agent.py`.
        handler: A Lambda handler of your own as `module.function`, instead of `agent`. Defaults to our runner.
        code: Code made elsewhere, instead of `entry`; needs `handler`, which is `lambda_.Handler.FROM_IMAGE` for a
            container image.
        architecture: Where the function runs and what its dependencies are installed for. Defaults to arm64.
        current_version_options: How `current_version` is published. Defaults to CDK's own choice.
        description: What the console shows. Defaults to nothing.
        environment: Variables for your code. Names that begin with `AK_CONSTRUCTS_` are taken.
        ephemeral_storage_size: The size of `/tmp`, 512 to 10240 MiB. Defaults to 512 MiB.
        key: Encrypts the variables and the log group of its own. Defaults to keys of AWS's. An imported key must let
            CloudWatch Logs use it: `docs/private.md` has the statement.
        layers: Layers below your code. Defaults to none.
        log_group: Where logs go. Defaults to a log group of its own.
        memory_size: MiB, 128 to 10240; the CPU grows with it. Defaults to 1024; a
            `SharedCapacityProvider` takes 2048 to 32768.
        reserved_concurrent_executions: At most and at least so many runs at once. Defaults to the account's pool.
        role: The role, if it must be one of yours; nothing is then granted but to read `secrets`, if it takes policies.
            Defaults to a role of its own.
        runtime: The Python version: Python 3.11 or later with `entry`; `docs/platforms.md` has when AWS ends each.
            Defaults to Python 3.13.
        secrets: What your code finds in which environment variable: a secret of Secrets Manager that is text, a pair of
            one and the name of a field of its JSON object, or a parameter, such as a SecureString. A name has letters,
            digits and underscores, two or more; Lambda's own names, ours, and those in `environment` are taken. Needs
            `entry`. Defaults to none.
        security_groups: Needs `vpc`. Defaults to a group of its own that may call everybody.
        snap_start: Starts new environments of published versions from a snapshot. Defaults to off.
        timeout: How long one run may take, at most 900 s, or 5400 s in a `SharedCapacityProvider`. Defaults to 29 s, as
            long as a REST API waits.
        tracing: How X-Ray traces. Defaults to active.
        vpc: The network to run in. Defaults to none, with access to the internet and no other network.
        vpc_subnets: Which subnets of `vpc`. Defaults to the private ones.

    Attributes:
        chat_path: Where an API in front has the chat route, for a handler of your own; None without one.
        has_own_handler: Whether Lambda calls a handler of yours instead of our runner.
        session_store: What keeps its conversations, once one is attached.
        vpc: The network it runs in, or None.
        vpc_subnets: Which subnets of it, if that was said.

    Raises:
        ValueError: `entry` and `code` are both given or both left out; `secrets` come with `code`, under a name that is
            taken or none, or are not secrets; `agent` and `handler` are both given; `code` has
            no `handler`; `entry` is not a folder, has a folder `ak_lambda`, has links to other than its own visible
            files, or lacks what `agent` or `handler` names; a dependency is not pinned, cannot be installed, or has a
            name of yours; a variable takes one of our names; the package is larger than 262 MB; the runtime of a folder
            is not Python, or older than Python 3.11.

    Example:
        ```python
        agent = AgentFunction(stack, "Agent", entry="examples/chat_api/agent", agent="agent:respond")
        ```

        ```python
        from aws_cdk import aws_secretsmanager as secretsmanager

        key = secretsmanager.Secret.from_secret_name_v2(stack, "OpenAi", "prod/openai")
        AgentFunction(stack, "Other", entry="examples/chat_api/agent", secrets={"OPENAI_API_KEY": (key, "api_key")})
        ```

    Sources:
        Keys for variables: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars-encryption.html
        Limits of Lambda: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
        X-Ray actions: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsx-ray.html
        Actions for secrets: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
        Actions for parameters: https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html
        Snapshots: https://docs.aws.amazon.com/lambda/latest/dg/snapstart-security.html
        Names of variables: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
        Actions for a VPC: https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html, and how they are
        denied to code: https://github.com/aws-samples/serverless-patterns, lambda-deny-access-to-network-actions
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        entry: str | os.PathLike[str] | None = None,
        agent: str | None = None,
        handler: str | None = None,
        code: lambda_.Code | None = None,
        architecture: lambda_.Architecture = ARCHITECTURE,
        current_version_options: lambda_.VersionOptions | None = None,
        description: str | None = None,
        environment: Mapping[str, str] | None = None,
        ephemeral_storage_size: cdk.Size | None = None,
        key: kms.Key | kms.IKey | None = None,
        layers: Sequence[lambda_.ILayerVersion] | None = None,
        log_group: logs.ILogGroup | None = None,
        memory_size: int = DEFAULT_MEMORY_MIB,
        reserved_concurrent_executions: int | None = None,
        role: iam.Role | iam.IRole | None = None,
        runtime: lambda_.Runtime = RUNTIME,
        secrets: Mapping[
            str,
            secretsmanager.Secret
            | secretsmanager.ISecret
            | tuple[secretsmanager.Secret | secretsmanager.ISecret, str]
            | ssm.IStringParameter,
        ]
        | None = None,
        security_groups: Sequence[ec2.ISecurityGroup] | None = None,
        snap_start: lambda_.SnapStartConf | None = None,
        timeout: cdk.Duration = DEFAULT_TIMEOUT,
        tracing: lambda_.Tracing = lambda_.Tracing.ACTIVE,
        vpc: ec2.IVpc | None = None,
        vpc_subnets: ec2.SubnetSelection | None = None,
    ) -> None:
        _check_choice(entry=entry, agent=agent, handler=handler, code=code)
        environment, secrets = environment or {}, secrets or {}
        _check_environment(environment)
        check_key(scope, key)
        check_secrets(secrets, environment=environment, code=code)
        agent = agent or DEFAULT_AGENT
        package = _package(entry, agent, handler, architecture, runtime)
        log_group = log_group or define_log_group(scope, f"{id}Logs", key=key)
        role = role or define_role(scope, f"{id}Role", log_group=log_group, in_vpc=vpc is not None)

        with telling(package.bundling if package else None):
            super().__init__(
                scope,
                id,
                code=package.code() if package else cast(lambda_.Code, code),
                handler=_entry_point(handler, secrets=bool(secrets)),
                runtime=lambda_.Runtime.FROM_IMAGE if handler == lambda_.Handler.FROM_IMAGE else runtime,
                architecture=architecture,
                current_version_options=current_version_options,
                description=description,
                environment={
                    **environment,
                    **({} if handler else {"AK_CONSTRUCTS_AGENT": agent}),
                    **({"AK_CONSTRUCTS_SECRETS": secrets_variable(scope, secrets)} if secrets else {}),
                    **({"AK_CONSTRUCTS_HANDLER": handler} if handler and secrets else {}),
                },
                environment_encryption=key,
                ephemeral_storage_size=ephemeral_storage_size,
                layers=layers,
                log_group=log_group,
                logging_format=lambda_.LoggingFormat.JSON,
                memory_size=memory_size,
                reserved_concurrent_executions=reserved_concurrent_executions,
                role=role,
                security_groups=security_groups,
                snap_start=snap_start,
                timeout=timeout,
                tracing=tracing,
                vpc=vpc,
                vpc_subnets=vpc_subnets,
            )
        grant_secrets(self, secrets)
        self.has_own_handler: bool = handler is not None
        self.chat_path: str | None = None
        self.session_store: SessionStore | None = None
        self.vpc: ec2.IVpc | None = vpc
        self.vpc_subnets: ec2.SubnetSelection | None = vpc_subnets


def _check_choice(
    *, entry: str | os.PathLike[str] | None, agent: str | None, handler: str | None, code: lambda_.Code | None
) -> None:
    if (entry is None) == (code is None):
        got = "neither" if entry is None else "both"
        raise ValueError(f"entry or code must be given, and not both, got {got}; entry is a folder with your code")
    if agent is not None and handler is not None:
        raise ValueError(f"agent and handler must not both be given, got {agent!r} and {handler!r}; leave one out")
    if code is not None and handler is None:
        raise ValueError(
            "handler must be given with code, got none; give lambda_.Handler.FROM_IMAGE for an image: only a folder "
            "has our runner"
        )


def _entry_point(handler: str | None, *, secrets: bool) -> str:
    """Name what Lambda calls: a handler of the user's own with secrets is called by one of ours that brings them."""
    if handler is None:
        return "ak_lambda.agent_runner.handler.handler"
    return "ak_lambda.secret_loader.handler.handler" if secrets else handler


def _package(
    entry: str | os.PathLike[str] | None,
    agent: str,
    handler: str | None,
    architecture: lambda_.Architecture,
    runtime: lambda_.Runtime,
) -> AgentPackage | None:
    if entry is None:
        return None
    if runtime.family != lambda_.RuntimeFamily.PYTHON:
        raise ValueError(f"runtime must be a Python runtime for a folder, got {runtime.name}; give code= for others")
    platform = platform_of(architecture, runtime)
    lowest = next(iter(LAMBDA_PYTHON_RUNTIMES))
    if platform.version < tuple(map(int, lowest.split("."))):
        raise ValueError(
            f"runtime must be Python {lowest} or later for a folder, got {runtime.name}; leave it out ({RUNTIME.name})"
        )
    folder = check_entry(entry)
    if handler is None:
        check_matches("agent", agent, _AGENT, "module:callable, such as agent:respond for respond() in agent.py")
        check_defined(folder, agent, argument="agent", separator=":", runtime=runtime.name)
    else:
        check_matches("handler", handler, _HANDLER, "module.function, such as app.handler for handler() in app.py")
        check_defined(folder, handler, argument="handler", separator=".", runtime=runtime.name)
    return AgentPackage(folder, platform)


def _check_environment(environment: Mapping[str, str]) -> None:
    for name in environment:
        if name.startswith("AK_CONSTRUCTS_"):
            raise ValueError(f"environment must not set names that begin with AK_CONSTRUCTS_, got {name!r}; rename it")
