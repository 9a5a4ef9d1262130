"""The limits that each page of docs/constructs names: ours by their constants, AWS's by _limits.py with its sources."""

import inspect
import re
import sys
from dataclasses import dataclass

from scripts.project import ROOT

sys.path.insert(0, str(ROOT / "lambda_assets"))  # what runs in Lambda has limits, too

from ak_constructs import (
    _limits,
    _proof,
    _stage,
    agent_api,
    agent_queue,
    authorization,
    keep_warm,
    session_store,
    shared_capacity_provider,
    version_pruner,
)
from ak_lambda.jwt_authorizer import core as jwt_core
from ak_lambda.request_handler import core as request_core
from ak_lambda.shared import connections, frames, payloads, pings, turns


@dataclass(frozen=True)
class Limit:
    """A limit.

    Attributes:
        what: Of what.
        value: How much, with its unit.
        whose: The name in _limits.py, or what to say of a limit of ours.
    """

    what: str
    value: str
    whose: str = "ours"


def _aws(what: str, form: str, name: str, unit: int = 1) -> Limit:
    """Give a limit of _limits.py in other units."""
    value = getattr(_limits, name)
    return Limit(what, form.format(*value) if isinstance(value, tuple) else form.format(value // unit), name)


_RATE = f"{_stage.DEFAULT_RATE_LIMIT}, twice as many at once"
_REQUESTS = Limit("requests a second for each route", _RATE, "`rate_limit`")
_RUN = _aws("a run", "{} s", "LAMBDA_TIMEOUT_SECONDS")
_BODY = Limit("a request's body", f"{agent_api.MAX_BODY_MIB} MiB")
_WAIT = _aws("time until the API answers", "{} s", "API_GATEWAY_INTEGRATION_TIMEOUT_SECONDS")
_WAITED = (request_core.GATEWAY_MS - request_core.MARGIN_MS) / 1000

LIMITS: dict[str, list[Limit]] = {
    "AgentFunction": [
        _RUN,
        _aws("a run on a pool, invoked asynchronously or by a queue", "{} s", "LAMBDA_MANAGED_TIMEOUT_SECONDS"),
        _aws("memory", "{} to {} MiB", "LAMBDA_MEMORY_MIB"),
        _aws("`/tmp`", "{} to {} MiB", "LAMBDA_STORAGE_MIB"),
        _aws("code and layers, unzipped", "{} MB", "LAMBDA_UNZIPPED_BYTES", 1_000_000),
        _aws("all environment variables", "{} bytes", "LAMBDA_ENVIRONMENT_BYTES"),
        _aws("start of an environment", "{} s", "LAMBDA_INIT_SECONDS"),
    ],
    "AgentApi": [_WAIT, _BODY, _aws("an answer", "{} MiB", "API_GATEWAY_PAYLOAD_MIB"), _REQUESTS],
    "AgentQueue": [
        _RUN,
        _aws("a message", "{} MiB", "SQS_MESSAGE_BYTES", 1024**2),
        Limit("a body that goes into the bucket instead", f"over {payloads.MAX_MESSAGE_BYTES // 1024} KiB"),
        Limit("an answer that goes into the bucket", f"over {payloads.MAX_ITEM_BYTES // 1024} KiB"),
        _aws("runs at once, by `max_concurrency`", "{} to {}", "LAMBDA_SQS_CONCURRENCY"),
        Limit("receives until a request failed", f"{agent_queue.DEFAULT_MAX_RECEIVE_COUNT}", "`max_receive_count`"),
        Limit("a request waits for its run", f"{agent_queue.DEFAULT_RETENTION.to_days():.0f} days", "`retention`"),
        Limit("a failed request is kept", f"{agent_queue.DEAD_LETTER_RETENTION.to_days():.0f} days"),
    ],
    "QueuedAgentPipeline": [
        _WAIT,
        Limit("a caller waits", f"{_WAITED:g} s, then 202"),
        Limit("an answer that is sent, not linked to", f"{payloads.MAX_INLINE_BYTES // 1024**2} MiB"),
        Limit("a link to a larger answer", f"{payloads.LINK_SECONDS} s"),
        _BODY,
        _REQUESTS,
    ],
    "WebSocketAgentApi": [
        _aws("a connection", "{} h", "API_GATEWAY_WEBSOCKET_CONNECTION_SECONDS", 3600),
        _aws("a connection on which nothing is sent", "{} min", "API_GATEWAY_WEBSOCKET_IDLE_SECONDS", 60),
        _aws("a frame", "{} KiB", "API_GATEWAY_WEBSOCKET_FRAME_BYTES", 1024),
        _aws("a message", "{} KiB", "API_GATEWAY_WEBSOCKET_MESSAGE_BYTES", 1024),
        Limit("a frame of ours; longer ones come in parts", f"{frames.MAX_FRAME_BYTES} bytes"),
        Limit("an answer that is pushed, not linked to", f"{frames.MAX_PUSHED_BYTES // 1024**2} MiB"),
        Limit("connections of a user that are pushed to", f"{connections.MAX_CONNECTIONS}"),
        _aws("routes", "{}", "API_GATEWAY_WEBSOCKET_ROUTES"),
        _aws("a run without a queue", "{} s", "API_GATEWAY_WEBSOCKET_INTEGRATION_TIMEOUT_SECONDS"),
        Limit("messages a second for each route", _RATE, "`rate_limit`"),
    ],
    "Authorization": [
        Limit("a remembered result", f"at most {_proof.MAX_CACHE_SECONDS} s", "`cache_ttl`"),
        Limit("a user id from a token", f"{jwt_core.MAX_USER_ID_BYTES} bytes"),
        Limit("claims that functions behind get", f"{jwt_core.MAX_CLAIMS_BYTES // 1024} KiB"),
        _aws("what an authorizer at `$connect` may return", "{} bytes", "API_GATEWAY_WEBSOCKET_AUTHORIZER_BYTES"),
        Limit(
            "requests a second by an API key", f"{authorization.DEFAULT_KEY_RATE_LIMIT}", "`rate_limit` of `api_key`"
        ),
    ],
    "SessionStore": [
        Limit("turns that the agent sees", f"1 to {session_store.MAX_HISTORY_TURNS}", "`history_turns`"),
        Limit("their text together", f"{turns.MAX_HISTORY_BYTES // 1000} kB"),
        Limit("a prompt, an answer", f"cut at {turns.MAX_TEXT_BYTES // 1000} kB each"),
        Limit("how long a turn is kept", f"{session_store.MIN_TTL_SECONDS} s or more", "`ttl`"),
        _aws("zones of a cache", "{}", "ELASTICACHE_SERVERLESS_ZONES"),
    ],
    "SharedCapacityProvider": [
        _aws("versions on a pool", "{}", "CAPACITY_PROVIDER_VERSIONS"),
        _aws("subnets", "{} to {}", "CAPACITY_PROVIDER_SUBNETS"),
        _aws("memory of a function", "{} to {} MiB", "LAMBDA_MANAGED_MEMORY_MIB"),
        _aws("memory for each vCPU", "{} to {} GiB", "LAMBDA_MANAGED_GIB_PER_VCPU"),
        _aws("runs at once in an environment, for each vCPU", "{}", "LAMBDA_MANAGED_CONCURRENCY_PER_VCPU"),
        _aws("environments of a version, if nothing is said", "{}", "LAMBDA_MANAGED_DEFAULT_ENVIRONMENTS"),
        Limit("vCPUs of the pool", f"{shared_capacity_provider.DEFAULT_MAX_VCPU_COUNT}", "`max_vcpu_count`"),
    ],
    "VersionPruner": [
        _RUN,
        Limit("deletions in a run; the next one goes on", f"{version_pruner.MAX_DELETIONS}"),
        Limit("functions given by `functions`", f"{version_pruner.MAX_FUNCTIONS}"),
        Limit("newest versions that stay", f"{version_pruner.MIN_KEEP_LATEST} or more", "`keep_latest`"),
        Limit("age of a version that goes", f"{version_pruner.MIN_AGE_SECONDS // 3600} h or more", "`min_age`"),
    ],
    "KeepWarm": [
        Limit("targets", f"{keep_warm.MAX_TARGETS}"),
        Limit("environments of a target, times the targets", f"{keep_warm.MAX_PINGS}", "`concurrency`"),
        Limit("how long a ping holds its environment", f"at most {pings.MAX_HOLD_MS} ms", "`hold`"),
    ],
}


def whose(limit: Limit) -> str:
    """Say who sets a limit, with AWS's page, and whether it can be raised."""
    documented = re.search(
        rf'^{limit.whose}: Final = [^\n]*\n"""(.*?)"""', inspect.getsource(_limits), flags=re.MULTILINE | re.DOTALL
    )
    if documented is None:
        if limit.whose.isupper():
            raise LookupError(f"{limit.whose} must be in _limits.py with its source")
        return limit.whose
    said = documented[1]
    url = re.search(r"https://\S+", said)
    raised = (
        "; cannot be raised" if "cannot be raised" in said else "; can be raised" if "quota increase" in said else ""
    )
    return f"[AWS]({url[0] if url else ''}){raised}"
