"""Tells a browser which pages may read an answer; the API in front says which, by stage variables."""

from collections.abc import Mapping
from typing import Any


def cors_headers(event: Mapping[str, Any]) -> dict[str, str]:
    """Give the headers for the origin that asks; none for one that the API does not name."""
    variables = event.get("stageVariables")
    headers = event.get("headers")
    if not isinstance(variables, Mapping) or not isinstance(headers, Mapping):
        return {}
    allowed = str(variables.get("akConstructsCorsOrigins", "")).split(",")
    origin = next((value for name, value in headers.items() if str(name).lower() == "origin"), None)
    if "any" in allowed:
        answered = {"Access-Control-Allow-Origin": "*"}
    elif origin and origin in allowed:
        answered = {"Access-Control-Allow-Origin": str(origin), "Vary": "Origin"}
    else:
        return {}
    if variables.get("akConstructsCorsCredentials") == "true":
        answered["Access-Control-Allow-Credentials"] = "true"
    if variables.get("akConstructsCorsExpose"):
        answered["Access-Control-Expose-Headers"] = str(variables["akConstructsCorsExpose"])
    return answered
