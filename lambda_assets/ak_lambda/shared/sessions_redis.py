"""Keeps conversations in Redis or Valkey; see `sessions`. The one module that imports redis-py, which is a layer."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from ak_lambda.shared import turns
from ak_lambda.shared.turns import Keeping

PORT_VARIABLE = "AK_CONSTRUCTS_SESSIONS_REDIS_PORT"
CACHE_VARIABLE = "AK_CONSTRUCTS_SESSIONS_REDIS_CACHE"
USER_VARIABLE = "AK_CONSTRUCTS_SESSIONS_REDIS_USER"
SECRET_VARIABLE = "AK_CONSTRUCTS_SESSIONS_REDIS_SECRET_ARN"  # noqa: S105 - where the secret's name is

PREFIX = "ak-constructs:sessions:"
TOKEN_SECONDS = 900  # the longest that ElastiCache takes; made anew for each connection, which lasts 12 hours at most
TIMEOUT_SECONDS = 2


def open_redis(host: str, environment: Mapping[str, str], keeping: Keeping) -> "RedisSessions":
    """Open conversations in Redis; it connects when it is first used, and again whenever it must."""
    client = redis.Redis(
        host=host,
        port=int(environment[PORT_VARIABLE]),
        credential_provider=_credentials(environment),
        ssl=True,
        ssl_cert_reqs="required",
        ssl_check_hostname=True,
        socket_connect_timeout=TIMEOUT_SECONDS,
        socket_timeout=TIMEOUT_SECONDS,
        retry=Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), 3),
        protocol=2,
        decode_responses=True,
    )
    return RedisSessions(client, keeping)


def _credentials(environment: Mapping[str, str]) -> "SecretPassword | IamToken | None":
    if SECRET_VARIABLE in environment:
        return SecretPassword(environment[SECRET_VARIABLE])
    if CACHE_VARIABLE in environment:
        return IamToken(
            cache=environment[CACHE_VARIABLE], user=environment[USER_VARIABLE], region=environment["AWS_REGION"]
        )
    return None


class IamToken:
    """Logs in to a serverless cache as this function's role, in the form of redis-py's `CredentialProvider`."""

    def __init__(self, *, cache: str, user: str, region: str) -> None:
        self._cache = cache
        self._user = user
        self._region = region

    def get_credentials(self) -> tuple[str, str]:
        """Sign a request that is never sent: the cache itself shows it to IAM."""
        import botocore.session  # noqa: PLC0415 - a login by password needs none of it
        from botocore.auth import SigV4QueryAuth  # noqa: PLC0415
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415

        query = urlencode({"Action": "connect", "User": self._user, "ResourceType": "ServerlessCache"})
        request = AWSRequest(method="GET", url=f"https://{self._cache}/?{query}")
        credentials: Any = botocore.session.get_session().get_credentials()
        SigV4QueryAuth(credentials, "elasticache", self._region, expires=TOKEN_SECONDS).add_auth(request)
        return self._user, str(request.url).removeprefix("https://")


class SecretPassword:
    """Logs in with a secret: a password, or JSON with `password` and perhaps `username`. In the same form."""

    def __init__(self, arn: str) -> None:
        self._arn = arn

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """Fetch the secret for each connection, so that one that was changed is used."""
        import boto3  # noqa: PLC0415 - a login by role needs none of it

        text = boto3.client("secretsmanager").get_secret_value(SecretId=self._arn)["SecretString"]
        try:
            secret = json.loads(text)
        except ValueError:
            return (text,)
        if not isinstance(secret, dict):
            return (text,)  # a password of digits alone, for one
        password = str(secret["password"])
        return (str(secret["username"]), password) if secret.get("username") else (password,)


class RedisSessions:
    """Conversations in Redis: a string for the owner and a hash of turns, in one slot by the braces in their keys."""

    def __init__(self, client: Any, keeping: Keeping) -> None:  # noqa: ANN401 - tests bring one of their own
        self._client = client
        self._keeping = keeping

    def claim(self, session_id: str, user_id: str | None, *, now: int, new: bool = False) -> bool:
        """See `Sessions`. The server has the clock; an owner never changes until it expires."""
        key, opened_by = f"{PREFIX}{{{session_id}}}:owner", json.dumps(user_id)
        owner, left = (None, 0) if new else self._owner(key)
        if owner is None:
            if self._client.set(key, opened_by, nx=True, ex=self._keeping.owner_seconds):
                return True
            owner, left = self._owner(key)  # somebody was faster: perhaps an earlier try of ours
        if owner != opened_by:
            return False
        if self._keeping.is_short(left) and not self._client.expire(key, self._keeping.owner_seconds):
            return self.claim(session_id, user_id, now=now, new=True)  # it went in between
        return True

    def history(self, session_id: str, *, now: int, before: str | None = None) -> list[dict[str, Any]]:
        """See `Sessions`."""
        found = self._client.hgetall(_turns_key(session_id))
        newest_first = (json.loads(found[key]) for key in sorted(found, reverse=True) if before is None or key < before)
        alive = (each for each in newest_first if each.pop("expiry_time") > now)
        return turns.latest(alive, self._keeping.turns)

    def add_turn(
        self, session_id: str, *, key: str, prompt: str, answer: str, request_id: str, created_at: int, now: int
    ) -> None:
        """See `Sessions`. One turn more is kept than is read, since a repeated run does not see its own."""
        turn = turns.turn(prompt=prompt, answer=answer, request_id=request_id, created_at=created_at)
        turn["expiry_time"] = now + self._keeping.ttl_seconds
        name = _turns_key(session_id)
        with self._client.pipeline(transaction=True) as pipeline:
            pipeline.hset(name, key, json.dumps(turn, ensure_ascii=False))
            pipeline.expire(name, self._keeping.ttl_seconds)
            pipeline.hkeys(name)
            *_, kept = pipeline.execute()
        surplus = sorted(kept)[: -(self._keeping.turns + 1)]
        if surplus:
            self._client.hdel(name, *surplus)

    def _owner(self, key: str) -> tuple[str | None, int]:
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.get(key)
            pipeline.ttl(key)
            owner, left = pipeline.execute()
        return owner, left


def _turns_key(session_id: str) -> str:
    return f"{PREFIX}{{{session_id}}}:turns"
