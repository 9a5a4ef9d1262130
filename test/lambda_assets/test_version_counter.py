"""Function versions on a pool are counted, against Lambda's own model."""

import json
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from ak_lambda.shared.calls import CallError
from ak_lambda.version_counter import handler

POOL = "arn:aws:lambda:us-east-1:123456789012:capacity-provider:pool"


@pytest.fixture
def client() -> Any:  # noqa: ANN401 - boto3 makes its classes at run time
    """Make a client that calls nobody."""
    return boto3.client("lambda", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")


def page(*states: str, marker: str | None = None) -> dict[str, Any]:
    """Make an answer."""
    arn = "arn:aws:lambda:us-east-1:123456789012:function:f:1"
    versions = [{"FunctionArn": arn, "State": state} for state in states]
    answer: dict[str, Any] = {"CapacityProviderArn": POOL, "FunctionVersions": versions}
    return answer if marker is None else {**answer, "NextMarker": marker}


def asked(marker: str | None = None) -> dict[str, Any]:
    """Say what Lambda is asked."""
    base: dict[str, Any] = {"CapacityProviderName": "pool"}
    return base if marker is None else {**base, "Marker": marker}


def test_all_pages_are_counted_into_one_metric(
    client: Any,  # noqa: ANN401 - boto3 makes its classes at run time
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And the answer says in which state they are."""
    monkeypatch.setenv("AK_CONSTRUCTS_CAPACITY_PROVIDER", "pool")
    monkeypatch.setattr(handler, "patient_client", {"lambda": client}.__getitem__)
    monkeypatch.setattr("time.time", lambda: 17.5)
    with Stubber(client) as stub:
        stub.add_response(
            "list_function_versions_by_capacity_provider", page("Active", "Failed", marker="next"), asked()
        )
        stub.add_response("list_function_versions_by_capacity_provider", page("Active"), asked("next"))
        assert handler.handler({}, None) == {"function_versions": 3, "states": {"Active": 2, "Failed": 1}}
        stub.assert_no_pending_responses()
    written = json.loads(capsys.readouterr().out)
    assert (written["FunctionVersions"], written["CapacityProviderName"]) == (3, "pool")
    assert written["_aws"]["Timestamp"] == 17_500
    (metrics,) = written["_aws"]["CloudWatchMetrics"]
    assert metrics["Dimensions"] == [["CapacityProviderName"]]
    assert metrics["Metrics"] == [{"Name": "FunctionVersions", "Unit": "Count"}]


def test_an_empty_pool_has_no_versions(
    client: Any,  # noqa: ANN401 - boto3 makes its classes at run time
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One page, and an empty marker ends as well."""
    monkeypatch.setenv("AK_CONSTRUCTS_CAPACITY_PROVIDER", "pool")
    monkeypatch.setattr(handler, "patient_client", {"lambda": client}.__getitem__)
    with Stubber(client) as stub:
        stub.add_response("list_function_versions_by_capacity_provider", page(marker=""), asked())
        assert handler.handler({}, None) == {"function_versions": 0, "states": {}}


def test_fails_without_the_words_of_aws(
    client: Any,  # noqa: ANN401 - boto3 makes its classes at run time
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They name roles and accounts, and Lambda logs what a handler raises."""
    monkeypatch.setenv("AK_CONSTRUCTS_CAPACITY_PROVIDER", "pool")
    monkeypatch.setattr(handler, "patient_client", {"lambda": client}.__getitem__)
    with Stubber(client) as stub:
        stub.add_client_error(
            "list_function_versions_by_capacity_provider", "AccessDeniedException", f"User: x may not on {POOL}"
        )
        with pytest.raises(CallError, match=r"^ListFunctionVersionsByCapacityProvider: AccessDeniedException$"):
            handler.handler({}, None)
