"""Signs what is asked of an API with SigV4, as a backend on AWS would."""

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

CREDENTIALS = Credentials("test", "test")  # any will do: the emulator looks at the key, not at the signature
REGION = "us-east-1"


def signed_headers(method: str, url: str, body: bytes, *, credentials: Credentials, region: str) -> dict[str, str]:
    """Sign a request to API Gateway, with boto3's own signer."""
    request = AWSRequest(method=method, url=url, data=body, headers={"Content-Type": "application/json"})
    SigV4Auth(credentials, "execute-api", region).add_auth(request)
    return dict(request.headers.items())
