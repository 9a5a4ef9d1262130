"""Bodies too large for a message or an item: kept in S3, under the hash of their content."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from ak_lambda.shared.messages import reference, referenced

MAX_MESSAGE_BYTES = 700 * 1024  # of a body: SQS takes 1 MiB with attributes, and escapes it when Lambda reads it
MAX_ITEM_BYTES = 300 * 1024  # of an answer: an item of DynamoDB's takes 400 KB
MAX_INLINE_BYTES = 5 * 1024 * 1024  # of an answer that goes through Lambda, which returns 6 MB at most
LINK_SECONDS = 300

REQUESTS = "requests/"
ANSWERS = "answers/"


class Payloads:
    """One bucket, by a client of boto3's, which is made when it is needed: most bodies are small."""

    def __init__(self, client: Callable[[], Any], bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def fitted(self, body: str, most_bytes: int, *, folder: str, session_id: str) -> str:
        """Give a body as it is, or, if it is too large, keep it and give a reference."""
        if len(body) * 4 <= most_bytes:
            return body
        content = body.encode()
        if len(content) <= most_bytes:
            return body
        digest = hashlib.sha256(content).hexdigest()
        key = folder + digest  # sent again, it is the same object; who can guess the name knows the content
        self._client().put_object(Bucket=self._bucket, Key=key, Body=content, ContentType="application/json")
        return reference(
            bucket=self._bucket,
            key=key,
            size=len(content),
            sha256=digest,
            session_id=session_id,
        )

    def whole(self, body: str, *, folder: str) -> str:
        """Give a body as it is, or what it refers to, if that is what was kept."""
        kept = referenced(body)
        if kept is None:
            return body
        content: bytes = self._client().get_object(Bucket=self._bucket, Key=self._key(kept, folder))["Body"].read()
        if hashlib.sha256(content).hexdigest() != kept.get("sha256"):
            raise ValueError("a payload is not what was kept")
        return content.decode()

    def is_kept(self, body: str, *, folder: str) -> bool:
        """Whether a body is a reference as this bucket's are made, and no text that only looks like one."""
        kept = referenced(body) or {}
        try:
            self._key(kept, folder)
        except ValueError:
            return False
        return str(kept.get("bytes")).isdecimal() and len(str(kept.get("sha256"))) == 64  # noqa: PLR2004

    def link(self, kept: Mapping[str, Any]) -> str:
        """Give an address from which whoever has it may read a kept answer for some minutes."""
        url: str = self._client().generate_presigned_url(
            "get_object", Params={"Bucket": self._bucket, "Key": self._key(kept, ANSWERS)}, ExpiresIn=LINK_SECONDS
        )
        return url

    def _key(self, kept: Mapping[str, Any], folder: str) -> str:
        """Refuse a reference that leads elsewhere: a body may have been written by anybody."""
        key = str(kept.get("key"))
        if kept.get("bucket") != self._bucket or not key.startswith(folder) or not key[len(folder) :].isalnum():
            raise ValueError("a payload's reference leads elsewhere")
        return key
