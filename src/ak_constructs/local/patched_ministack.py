"""Starts the emulator with what its version lacks; run by the emulator's own Python, never imported.

Everything named with an underscore is private to MiniStack: the version is pinned, and a test fails when one moves.
"""

import asyncio
import contextvars
import hashlib
import json
import os
import re
import signal
import sys
import tempfile
import threading
import types
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import patched_websockets
from ministack import app
from ministack.core import iam_actions, iam_evaluator, lambda_runtime
from ministack.core.responses import get_account_id
from ministack.services import apigateway_v1, dynamodb, lambda_svc, sqs
from ministack.services.cloudformation import provisioners

PLACEHOLDERS: dict[str, dict[str, str]] = {  # recorded by CloudFormation, nothing is made
    "AWS::ApiGatewayV2::RouteResponse": {},
    "AWS::BedrockAgentCore::Runtime": {},
    "AWS::Lambda::CapacityProvider": {"Arn": "arn:aws:lambda:us-east-1:000000000000:capacity-provider:{id}"},
}
_route: contextvars.ContextVar[dict[str, str]] = contextvars.ContextVar("_route")
UNLIMITED_CONCURRENCY = 20  # of a mapping without MaximumConcurrency; each run takes a process of some 50 MB


def add_placeholders() -> None:
    """Let templates with these types deploy."""
    for type_, attributes in PLACEHOLDERS.items():
        provisioners._RESOURCE_HANDLERS.setdefault(type_, {"create": _placeholder(attributes), "delete": _nothing})


def honour_time_to_live() -> None:
    """Switch a table's TTL on when its template says so."""
    for type_ in ("AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable"):
        handlers = provisioners._RESOURCE_HANDLERS[type_]
        handlers["create"] = _with_time_to_live(handlers["create"])


def name_parameters_simply() -> None:
    """Give a parameter without a name one without a slash, as CloudFormation does: its ARN hangs on it."""
    handlers = provisioners._RESOURCE_HANDLERS["AWS::SSM::Parameter"]
    create = handlers["create"]

    def create_named(logical_id: str, properties: dict[str, Any], stack_name: str) -> Any:
        return create(logical_id, {"Name": f"CFN-{logical_id}-{stack_name}", **properties}, stack_name)

    handlers["create"] = create_named


def authorize_as_aws_does() -> None:
    """Ask for the action that AWS asks for where an operation has none of its own name, and of Lambda by version.

    https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference.html, read 2026-11-21
    AWS's notice as quoted in https://github.com/juanjoDiaz/serverless-plugin-warmup/issues/304, read 2026-11-21: a
    call with a qualifier needs a permission for the qualified ARN.
    """
    actions = {
        "bedrock:Converse": "bedrock:InvokeModel",
        "bedrock:ConverseStream": "bedrock:InvokeModelWithResponseStream",
        "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
        "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
        "sqs:SendMessageBatch": "sqs:SendMessage",
    }
    action_of, resource_of = iam_actions.extract_iam_action, iam_actions.extract_resource_arn

    def action(*arguments: Any) -> str | None:
        method, path, query = arguments[1], arguments[2], arguments[5]
        if method == "GET" and path.endswith("/provisioned-concurrency") and "List" in query:
            return "lambda:ListProvisionedConcurrencyConfigs"
        if arguments[0] == "lambda" and path.endswith("/account-settings"):
            return "lambda:GetAccountSettings"
        found: str | None = action_of(*arguments)
        return actions.get(found or "", found)

    def resource(*arguments: Any) -> str:
        found = unquote(resource_of(*arguments))
        if ":parameter/arn:" in found:  # a parameter may be asked for by its ARN, which was taken for a name
            found = found.partition(":parameter/")[2]
        qualifier = lambda_svc._qp_first(arguments[5], "Qualifier")
        return f"{found}:{qualifier}" if arguments[0] == "lambda" and qualifier else found

    iam_actions.extract_iam_action = action
    iam_actions.extract_resource_arn = resource


def record_decisions(path: Path) -> None:
    """Write down what roles and users asked for and whether they got it: a line of JSON for each decision."""
    enforce = iam_evaluator.enforce

    def enforce_and_tell(access_key: str, action: str, service: str, region: str, *found: Any, **others: Any) -> Any:
        denied = enforce(access_key, action, service, region, *found, **others)
        principal = iam_evaluator.resolve_principal(access_key or "", get_account_id())
        if isinstance(principal, iam_evaluator.PrincipalInfo) and principal.policies is not None:
            resource = found[0] if found else others.get("resource_arn", "*")
            told = {"principal": principal.arn, "action": action, "resource": resource, "allowed": denied is None}
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(told) + "\n")
        return denied

    iam_evaluator.enforce = enforce_and_tell


def run_message_groups_in_parallel() -> None:
    """Let a mapping of a FIFO queue have one message of each group in flight, where it had one in all.

    Right for batches of one message; larger batches span groups here and stay serial. The queue keeps the order
    in a group itself: it gives nothing of a group that has a message in flight.
    """
    concurrency_of = lambda_svc._sqs_esm_concurrency

    def concurrency(mapping: dict[str, Any], function: Any, config: Any, queue: dict[str, Any] | None = None) -> Any:
        return concurrency_of(mapping, function, config, queue if mapping["BatchSize"] > 1 else None)

    lambda_svc._sqs_esm_concurrency = concurrency
    _set(lambda_svc, "_ESM_SQS_DEFAULT_CONCURRENCY", UNLIMITED_CONCURRENCY)


def keep_failures_apart() -> None:
    """Invoke for other messages after a failure; a mapping waited a second, with all its groups."""
    run = lambda_svc._run_sqs_batch

    def run_without_pause(mapping: dict[str, Any], *arguments: object) -> None:
        run(mapping, *arguments)
        lambda_svc._esm_backoff_until.pop(mapping["UUID"], None)

    lambda_svc._run_sqs_batch = run_without_pause


def delete_with_own_receipt() -> None:
    """Delete with the receipt handle that a run received; a late run deleted with the handle of the next one."""
    receive = sqs._receive_messages_for_esm

    def receive_copies(*arguments: object) -> list[dict[str, Any]]:
        return [dict(message) for message in receive(*arguments)]

    sqs._receive_messages_for_esm = receive_copies


def poll_at_once() -> None:
    """Look for messages whenever one is sent, also within 50 ms of looking in vain."""
    _set(lambda_svc, "_ESM_IDLE_WAKE_GAP_SECONDS", 0)


def end_integrations_in_time() -> None:
    """Answer 504 when an integration takes longer than it may, 29 s unless set; its function goes on, as on AWS."""
    invoke = apigateway_v1._invoke_lambda_proxy_v1

    async def invoke_in_time(integration: dict[str, Any], *arguments: object, **options: object) -> Any:
        running = asyncio.ensure_future(invoke(integration, *arguments, **options))
        done, _ = await asyncio.wait({running}, timeout=integration["timeoutInMillis"] / 1000)
        if done:
            return running.result()
        return apigateway_v1._gw_error("INTEGRATION_TIMEOUT", "Endpoint request timed out")

    apigateway_v1._invoke_lambda_proxy_v1 = invoke_in_time


def list_provisioned_concurrency() -> None:
    """Answer ListProvisionedConcurrencyConfigs, which it took for the call that gives a single one."""
    handle = lambda_svc.handle_request

    async def handle_with_list(method: str, path: str, headers: Any, body: bytes, query: dict[str, Any]) -> Any:
        parts = unquote(path).split("/")
        if method != "GET" or parts[-1] != "provisioned-concurrency" or "List" not in query:
            return await handle(method, path, headers, body, query)
        name = lambda_svc._resolve_request_scoped_name(parts[-2])
        if name not in lambda_svc._functions:
            message = f"Function not found: {lambda_svc._func_arn(name)}"
            return lambda_svc.error_response_json("ResourceNotFoundException", message, 404)
        configured = lambda_svc._functions[name]["provisioned_concurrency"]
        arn = lambda_svc._func_arn(name)
        listed = [{**each, "FunctionArn": f"{arn}:{qualifier}"} for qualifier, each in configured.items()]
        return lambda_svc.json_response({"ProvisionedConcurrencyConfigs": listed})

    lambda_svc.handle_request = handle_with_list


def date_versions_by_description() -> None:
    """Let tests have old versions: one whose description is a moment was published then."""
    publish = lambda_svc._publish_version

    def publish_then(name: str, data: dict[str, Any]) -> Any:
        answer = publish(name, data)
        description = data.get("Description") or ""
        if re.fullmatch(r"[0-9-]+T[0-9:.]+\+0000", description):
            versions = lambda_svc._functions[name]["versions"]
            versions[max(versions, key=int)]["config"]["LastModified"] = description
        return answer

    lambda_svc._publish_version = publish_then


def keep_environments_after_errors() -> None:
    """Go on with a process whose handler raised, as AWS does; it was ended, with all that it had learned.

    https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html, read 2026-11-21
    """
    ending, kept = '{"status": "error", "error": str(e), "trace"', '{"status": "ok", "raised": str(e), "trace"'
    if ending not in lambda_runtime._PYTHON_WORKER_SCRIPT:
        raise RuntimeError("the script of the workers has changed")
    _set(lambda_runtime, "_PYTHON_WORKER_SCRIPT", lambda_runtime._PYTHON_WORKER_SCRIPT.replace(ending, kept))
    invoke = lambda_runtime.Worker.invoke

    def invoke_and_tell(*arguments: Any, **options: Any) -> dict[str, Any]:
        found: dict[str, Any] = invoke(*arguments, **options)
        return {**found, "status": "error", "error": found["raised"]} if "raised" in found else found

    lambda_runtime.Worker.invoke = invoke_and_tell


def log_failed_starts() -> None:
    """Log why an environment could not start, as AWS does; its caller alone was told.

    https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html, read 2026-11-22
    """
    execute = lambda_svc._execute_function_warm

    def execute_and_log(*arguments: Any) -> dict[str, Any]:
        found: dict[str, Any] = execute(*arguments)
        if found.get("error") and not found.get("log"):
            found["log"] = f"[ERROR] {found['body']['errorMessage']}"
        return found

    _set(lambda_svc, "_execute_function_warm", execute_and_log)


def let_runs_end() -> None:
    """Let a run that is under way when its function is updated go on to its end, as on AWS; it was killed.

    https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html, read 2026-11-21
    """
    kill, release, lock = lambda_runtime.kill_workers, lambda_svc.release_worker, threading.Lock()

    def kill_idle(workers: Any) -> None:
        with lock:
            busy = [worker for worker in workers if worker and worker.in_use]
            for worker in busy:
                worker.retired = True
        kill([worker for worker in workers if worker not in busy])

    def release_or_kill(worker: Any) -> None:
        with lock:
            release(worker)
        if getattr(worker, "retired", False):
            kill([worker])

    _set(lambda_runtime, "kill_workers", kill_idle)
    _set(lambda_svc, "release_worker", release_or_kill)


def watch_calls() -> None:
    """Let our part of the runtime see what a function's botocore calls, once that can be imported."""
    ready = '    botocore.handlers.BUILTIN_HANDLERS.append(("before-call", _ms_add_invoke_depth))\n'
    if ready not in lambda_runtime._PYTHON_WORKER_SCRIPT:
        raise RuntimeError("the script of the workers has changed")
    watched = f"{ready}    import sitecustomize\n    sitecustomize.watch_calls()\n"
    _set(lambda_runtime, "_PYTHON_WORKER_SCRIPT", lambda_runtime._PYTHON_WORKER_SCRIPT.replace(ready, watched))


def unpack_code_once() -> None:
    """Let all environments of a package share its folder and its bytecode; each unpacked and compiled its own."""
    one_at_a_time = threading.Lock()

    class Package(zipfile.ZipFile):
        def extractall(self, path: Any, *arguments: Any) -> None:
            """Leave a link to what was unpacked before."""
            digest = hashlib.sha256(Path(str(self.filename)).read_bytes()).hexdigest()
            folder = Path(tempfile.gettempdir(), "unpacked", digest)
            with one_at_a_time:
                if not folder.exists():
                    super().extractall(folder.with_suffix(".part"), *arguments)
                    folder.with_suffix(".part").rename(folder)
            Path(path).rmdir()
            Path(path).symlink_to(folder)

    _set(lambda_runtime, "zipfile", types.SimpleNamespace(**{**vars(zipfile), "ZipFile": Package}))


def take_loopback_for_tls() -> None:
    """Satisfy policies that refuse requests without TLS, such as CDK's `enforce_ssl` writes."""
    pin = app.pin_request_origin
    app.pin_request_origin = lambda address, _secure: pin(address, secure_transport=True)


def know_context_identity_sources() -> None:
    """Remember an authorizer's result by route and path too, where it says so; such a source was always missing."""
    authorize, sources_of = apigateway_v1._authorize_request_v1, apigateway_v1._request_identity_sources

    async def authorize_route(*arguments: Any) -> Any:
        _api_id, stage, _settings, method, path, resource = arguments[:6]
        known = {"httpMethod": method, "path": f"/{stage}{path}", "resourcePath": resource["path"]}
        _route.set({f"context.{name}": value for name, value in known.items()})
        return await authorize(*arguments)

    def sources_of_route(sources: str | None, *arguments: Any) -> tuple[bool, list[str]]:
        known = _route.get()
        named = [source.strip() for source in (sources or "").split(",")]
        found = [(True, [known[each]]) if each in known else sources_of(each, *arguments) for each in named]
        return all(present for present, _ in found), [value for _, values in found for value in values]

    apigateway_v1._authorize_request_v1 = authorize_route
    apigateway_v1._request_identity_sources = sources_of_route


class _Headers(dict[str, Any]):
    """Headers whose names look as most clients write them, and which are found in any case."""

    def get(self, name: str, default: object = None) -> Any:
        return super().get(name.title(), default)

    def __getitem__(self, name: str) -> Any:
        return super().__getitem__(name.title())

    def __contains__(self, name: object) -> bool:
        return super().__contains__(str(name).title())


def keep_case_of_headers() -> None:
    """Give functions `Authorization` as API Gateway does; what serves HTTP here knows lower-case names only."""
    execute = apigateway_v1._handle_execute_in_scope

    async def execute_with_case(*arguments: Any) -> Any:
        before, headers, after = arguments[:4], arguments[4], arguments[5:]
        return await execute(*before, _Headers({name.title(): each for name, each in headers.items()}), *after)

    apigateway_v1._handle_execute_in_scope = execute_with_case


def name_api_keys() -> None:
    """Tell a function which API key its caller sent, as API Gateway does."""
    build = apigateway_v1._build_lambda_event_v1

    def build_with_key(*arguments: object, **options: object) -> dict[str, Any]:
        event: dict[str, Any] = build(*arguments, **options)
        key = apigateway_v1._resolve_api_key(apigateway_v1._api_key_from_request(event["headers"]))
        if key:
            event["requestContext"]["identity"] |= {"apiKey": key["value"], "apiKeyId": key["id"]}
        return event

    apigateway_v1._build_lambda_event_v1 = build_with_key


def refuse_web_pages() -> None:
    """Refuse what a page in this machine's browser could send: it would run code here, as this user."""
    emulate = app.app

    async def guarded(scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        headers = dict(scope.get("headers") or [])
        urls = [
            before + headers[name].decode() for name, before in ((b"host", "//"), (b"origin", "")) if name in headers
        ]
        # An image or a link in a page has no origin, but browsers say that it is another site's. CreateStack takes GET.
        foreign = b"origin" not in headers and headers.get(b"sec-fetch-site") == b"cross-site"
        if foreign or any(urlsplit(url).hostname not in {"127.0.0.1", "localhost"} for url in urls):
            if scope["type"] == "websocket":
                await send({"type": "websocket.close"})  # before it is accepted: 403
                return
            await send({"type": "http.response.start", "status": 403, "headers": []})
            await send({"type": "http.response.body", "body": b"only for this machine"})
            return
        await emulate(scope, receive, send)

    app.app = guarded


def end_with_parent() -> None:
    """End, workers included, when whoever started this closes our standard input, be it by dying."""

    def wait() -> None:
        sys.stdin.buffer.read()
        if os.getpgrp() == os.getpid():  # not somebody else's group
            os.killpg(os.getpgrp(), signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _set(module: Any, name: str, value: object) -> None:
    getattr(module, name)  # raises when it has moved
    setattr(module, name, value)


def _placeholder(attributes: dict[str, str]) -> Callable[..., Any]:
    def create(logical_id: str, _properties: dict[str, Any], stack_name: str) -> tuple[str, dict[str, str]]:
        physical_id = f"{stack_name}-{logical_id}"
        return physical_id, {name: value.format(id=physical_id) for name, value in attributes.items()}

    return create


def _nothing(*_arguments: object) -> None:
    """Delete a placeholder."""


def _with_time_to_live(create: Callable[..., Any]) -> Callable[..., Any]:
    def create_with_time_to_live(logical_id: str, properties: dict[str, Any], stack_name: str) -> object:
        physical_id, attributes = create(logical_id, properties, stack_name)
        specification = properties.get("TimeToLiveSpecification") or {}
        if specification.get("Enabled"):
            dynamodb._ttl_settings[physical_id] = {
                "TimeToLiveStatus": "ENABLED",
                "AttributeName": specification["AttributeName"],
            }
        return physical_id, attributes

    return create_with_time_to_live


if __name__ == "__main__":
    log: Path = Path(sys.argv[1])  # whose emulator this is, for people who read a list of processes too
    del sys.argv[1:]
    add_placeholders()
    honour_time_to_live()
    name_parameters_simply()
    authorize_as_aws_does()
    record_decisions(log.with_name("decisions.jsonl"))
    run_message_groups_in_parallel()
    keep_failures_apart()
    delete_with_own_receipt()
    poll_at_once()
    end_integrations_in_time()
    list_provisioned_concurrency()
    date_versions_by_description()
    keep_environments_after_errors()
    log_failed_starts()
    let_runs_end()
    watch_calls()
    unpack_code_once()
    take_loopback_for_tls()
    keep_case_of_headers()
    name_api_keys()
    know_context_identity_sources()
    patched_websockets.patch()
    refuse_web_pages()
    end_with_parent()
    app.main()
