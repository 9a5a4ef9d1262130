"""Lambda's control plane, answered to botocore's own requests just before they would be sent.

So what is tested beside our code is what AWS's is: parameters are validated and serialized, pages are followed, errors
are parsed and throttled calls are tried again.
"""

import io
import json
import re
import threading
import types
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import boto3
import botocore.loaders
import botocore.session
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse, HeadersDict

from ak_lambda.shared.clients import PATIENT
from ak_lambda.shared.functions_api import function_name, qualifier

REGION, ACCOUNT = "eu-central-1", "123456789012"
OLD = "2026-01-01T00:00:00.000+0000"
PROVIDER = f"arn:aws:lambda:{REGION}:{ACCOUNT}:capacity-provider:pool"

_LOADER = botocore.loaders.create_loader()

Response = tuple[int, dict[str, Any]]


def arn(name: str, version: str = "") -> str:
    """Name a function, or a version or alias of one."""
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}{':' if version else ''}{version}"


def session_without_files() -> boto3.Session:
    """Make a session with keys; what AWS's services look like is read once for all of them."""
    session = botocore.session.Session()
    session.register_component("data_loader", _LOADER)
    return boto3.Session("key", "secret", region_name=REGION, botocore_session=session)


class FaultError(Exception):
    """What AWS refuses."""

    def __init__(self, status: int, code: str, message: str = "the words of AWS, which name things") -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message


@dataclass
class Function:
    """One function: configurations by version, and what uses them."""

    versions: dict[str, dict[str, Any]] = field(default_factory=dict)
    aliases: dict[str, dict[str, Any]] = field(default_factory=dict)
    provisioned: list[str] = field(default_factory=list)
    running: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


def _xml(answer: dict[str, Any]) -> str:
    """Put the security token service's answer, or its refusal, into its form."""
    if "Account" in answer:
        told = f"<GetCallerIdentityResult><Account>{answer['Account']}</Account></GetCallerIdentityResult>"
        return f"<GetCallerIdentityResponse>{told}</GetCallerIdentityResponse>"
    return f"<ErrorResponse><Error><Code>{answer['__type']}</Code></Error></ErrorResponse>"


@dataclass
class FakeLambda:
    """All functions of an account in a Region, and what goes wrong there.

    Attributes:
        functions: By name.
        mappings: The ARNs that event source mappings call.
        page_size: How many things a page has.
        calls: How often each operation was asked for, retries and refusals included.
        refused: What a version's deletion is refused with.
        faults: Asked before each call; raises a FaultError if it is to fail.
        parameters: Those of Systems Manager.
        objects: Those of S3.
        whole: Functions that were deleted with all that was of them.
    """

    functions: dict[str, Function] = field(default_factory=dict)
    mappings: list[str] = field(default_factory=list)
    page_size: int = 2
    calls: Counter[str] = field(default_factory=Counter)
    refused: dict[tuple[str, str], FaultError] = field(default_factory=dict)
    faults: Callable[[str, str], None] = lambda _operation, _function: None
    parameters: dict[str, str] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    whole: list[str] = field(default_factory=list)
    _clients: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, *versions: str | int, **more: Any) -> Function:  # noqa: ANN401
        """Define a function with such versions beside `$LATEST`, all alike."""
        function = self.functions[name] = Function()
        for version in ("$LATEST", *map(str, versions)):
            function.versions[version] = {
                "FunctionName": name,
                "FunctionArn": arn(name, version),
                "Version": version,
                "CodeSize": 1000,
                "LastModified": OLD,
                **more,
            }
        return function

    def numbered(self) -> set[tuple[str, str]]:
        """Give all numbered versions that are there."""
        return {
            (name, version) for name, each in self.functions.items() for version in each.versions if "$" not in version
        }

    def client(self, service: str) -> Any:  # noqa: ANN401 - boto3 makes its classes at run time
        """Give a client of such a service, as patient as those in Lambda, that speaks to this."""
        if service not in self._clients:
            session: Any = self.heard(session_without_files())
            self._clients[service] = session.client(service, config=PATIENT)
        return self._clients[service]

    def heard(self, session: boto3.Session) -> boto3.Session:
        """Answer whatever a session's clients ask, after what counts calls and slows them down."""
        events: Any = session.events
        events.register_last("before-send", self._answer)
        return session

    def _answer(self, request: AWSPreparedRequest, event_name: str, **_more: object) -> AWSResponse:
        operation = event_name.rpartition(".")[2]
        self.calls[operation] += 1
        url = urlsplit(request.url)
        asked = {key: values[0] for key, values in parse_qs(url.query).items()}
        found = re.search(r"/functions/([^/]+)", url.path)
        identity = unquote(found[1]) if found else ""
        try:
            self.faults(operation, function_name(identity))
            status, answer = getattr(self, f"_{operation}")(identity, asked, request)
            headers = {}
        except FaultError as fault:
            status, answer = fault.status, {"message": fault.message, "Message": fault.message, "__type": fault.code}
            headers = {"x-amzn-ErrorType": fault.code}
        body = json.dumps(answer).encode() if status != 204 else b""
        if operation == "GetCallerIdentity":  # which is older than JSON
            body = _xml(answer).encode()
        return AWSResponse(request.url, status, HeadersDict(headers), _Raw(body))  # type: ignore[arg-type]

    def _function(self, identity: str) -> Function:
        name = function_name(identity)
        if identity.startswith("arn:") and not identity.startswith(arn("")):
            raise FaultError(404, "ResourceNotFoundException", "not in this Region or account")
        if name not in self.functions:
            raise FaultError(404, "ResourceNotFoundException")
        return self.functions[name]

    def _page(self, items: list[Any], member: str, asked: dict[str, str]) -> Response:
        begin = int(asked.get("Marker", "0"))
        end = begin + min(self.page_size, int(asked.get("MaxItems", "50")))
        more = {"NextMarker": str(end)} if end < len(items) else {}
        return 200, {member: items[begin:end], **more}

    def _ListVersionsByFunction(self, identity: str, asked: dict[str, str], _request: object) -> Response:  # noqa: N802
        return self._page(list(self._function(identity).versions.values()), "Versions", asked)

    def _ListAliases(self, identity: str, asked: dict[str, str], _request: object) -> Response:  # noqa: N802
        return self._page(list(self._function(identity).aliases.values()), "Aliases", asked)

    def _ListProvisionedConcurrencyConfigs(  # noqa: N802
        self, identity: str, asked: dict[str, str], _request: object
    ) -> Response:
        name = function_name(identity)
        configs = [{"FunctionArn": arn(name, each)} for each in self._function(identity).provisioned]
        return self._page(configs, "ProvisionedConcurrencyConfigs", asked)

    def _ListEventSourceMappings(self, _identity: str, asked: dict[str, str], _request: object) -> Response:  # noqa: N802
        mappings = [{"UUID": str(number), "FunctionArn": each} for number, each in enumerate(self.mappings)]
        return self._page(mappings, "EventSourceMappings", asked)

    def _ListDurableExecutionsByFunction(  # noqa: N802
        self, identity: str, asked: dict[str, str], request: AWSPreparedRequest
    ) -> Response:
        wanted = parse_qs(urlsplit(request.url).query)["Statuses"]
        status = self._function(identity).running.get(asked["Qualifier"])
        executions = [{"DurableExecutionArn": "x", "Status": status}] if status in wanted else []
        # An empty page, and another: a filter may leave nothing on a page.
        return 200, {
            "DurableExecutions": executions if "Marker" in asked else [],
            **({} if "Marker" in asked else {"NextMarker": "1"}),
        }

    def _ListFunctionVersionsByCapacityProvider(  # noqa: N802
        self, _identity: str, asked: dict[str, str], request: AWSPreparedRequest
    ) -> Response:
        named = unquote(urlsplit(request.url).path.split("/")[3])
        if named not in {"pool", PROVIDER}:
            raise FaultError(404, "ResourceNotFoundException")
        found = [
            {"FunctionArn": each["FunctionArn"], "State": each.get("State", "Active")}
            for function in self.functions.values()
            for each in function.versions.values()
            if "CapacityProviderConfig" in each and each["Version"] != "$LATEST"
        ]
        status, answer = self._page(found, "FunctionVersions", asked)
        return status, {"CapacityProviderArn": PROVIDER, **answer}

    def _ListFunctions(self, _identity: str, asked: dict[str, str], _request: object) -> Response:  # noqa: N802
        return self._page([each.versions["$LATEST"] for each in self.functions.values()], "Functions", asked)

    def _GetCallerIdentity(self, *_asked: object) -> Response:  # noqa: N802
        return 200, {"Account": ACCOUNT}

    def _GetAccountSettings(self, *_asked: object) -> Response:  # noqa: N802
        used = sum(each["CodeSize"] for function in self.functions.values() for each in function.versions.values())
        return 200, {"AccountLimit": {"TotalCodeSize": 10**6}, "AccountUsage": {"TotalCodeSize": used}}

    def _DeleteFunction(self, identity: str, asked: dict[str, str], _request: object) -> Response:  # noqa: N802
        function = self._function(identity)
        name, version = function_name(identity), asked.get("Qualifier") or qualifier(identity)
        if qualifier(identity) not in {"", version}:  # as AWS, which refuses two that differ
            raise FaultError(400, "InvalidParameterValueException")
        if not version:
            self.whole.append(name)
            del self.functions[name]
            return 204, {}
        if (name, version) in self.refused:
            raise self.refused[name, version]
        if "$" in version:
            raise FaultError(400, "InvalidParameterValueException")
        for alias in function.aliases.values():
            if version in {
                alias["FunctionVersion"],
                *alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {}),
            }:
                raise FaultError(409, "ResourceConflictException")
        function.versions.pop(version, None)  # one that is not there is answered alike
        return 204, {}

    def _GetResources(self, _identity: str, _asked: object, request: AWSPreparedRequest) -> Response:  # noqa: N802
        asked = json.loads(request.body or "")  # type: ignore[arg-type]
        if asked["ResourceTypeFilters"] != ["lambda:function"]:
            raise FaultError(400, "InvalidParameterException")
        found = [
            {"ResourceARN": arn(name)}
            for name, function in self.functions.items()
            if all(function.tags.get(each["Key"]) in each["Values"] for each in asked["TagFilters"])
        ]
        begin = int(asked.get("PaginationToken") or 0)
        end = begin + self.page_size
        return 200, {
            "ResourceTagMappingList": found[begin:end],
            "PaginationToken": str(end) if end < len(found) else "",
        }

    def _GetParameter(self, _identity: str, _asked: object, request: AWSPreparedRequest) -> Response:  # noqa: N802
        name = json.loads(request.body or "")["Name"]  # type: ignore[arg-type]
        if name not in self.parameters:
            raise FaultError(400, "ParameterNotFound")
        return 200, {"Parameter": {"Name": name, "Value": self.parameters[name]}}

    def _PutParameter(self, _identity: str, _asked: object, request: AWSPreparedRequest) -> Response:  # noqa: N802
        asked = json.loads(request.body or "")  # type: ignore[arg-type]
        if asked["Name"] in self.parameters and not asked.get("Overwrite"):
            raise FaultError(400, "ParameterAlreadyExists")
        self.parameters[asked["Name"]] = asked["Value"]
        return 200, {"Version": 1}

    def _PutObject(self, _identity: str, _asked: object, request: AWSPreparedRequest) -> Response:  # noqa: N802
        body: Any = request.body
        sent = body.read() if hasattr(body, "read") else body
        chunked = "aws-chunked" in str(request.headers.get("Content-Encoding"))
        self.objects[unquote(urlsplit(request.url).path)] = sent.split(b"\r\n")[1] if chunked else sent
        return 204, {}


class _Raw(io.BytesIO):
    """A body as urllib3 would give it."""

    def stream(self, **_more: object) -> Iterator[bytes]:
        """Give it all at once."""
        yield self.read()


class VirtualTime:
    """The time of botocore's retries: who waits moves it on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000_000.0
        waiting = self

        class Condition(threading.Condition):
            def wait(self, timeout: float | None = None) -> bool:
                return waiting.wait(timeout or 0.0)

        monkeypatch.setattr("botocore.endpoint.time", types.SimpleNamespace(sleep=self.wait))
        monkeypatch.setattr("botocore.retries.bucket.Clock.current_time", lambda _clock: self.now)
        made = types.SimpleNamespace(Condition=Condition, Lock=threading.Lock)
        monkeypatch.setattr("botocore.retries.bucket.threading", made)

    def wait(self, seconds: float) -> bool:
        """Wait, in no time."""
        self.now += seconds + 1e-6
        return False
