"""Tells a browser which pages may read an answer; the API in front says which, by stage variables."""

from ak_lambda.shared.fields import mapping


def cors_headers(event: object) -> dict[str, str]:
    """Give the headers for the origin that asks; none for one that the API does not name."""
    variables = mapping(mapping(event).get("stageVariables"))
    headers = mapping(mapping(event).get("headers"))
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
