"""Cross-origin requests: what the gateway answers itself, and what it tells the functions behind it."""

from aws_cdk import aws_apigateway as apigateway


def cors_variables(cors: apigateway.CorsOptions | None) -> dict[str, str]:
    """Give the stage variables by which the runner knows whom to answer; none can hold an asterisk."""
    if cors is None:
        return {}
    variables = {
        "akConstructsCorsOrigins": ",".join("any" if each == "*" else each for each in cors.allow_origins or [])
    }
    if cors.allow_credentials:
        variables["akConstructsCorsCredentials"] = "true"
    if cors.expose_headers:
        variables["akConstructsCorsExpose"] = ",".join(cors.expose_headers)
    return variables


def error_headers(cors: apigateway.CorsOptions | None) -> dict[str, str] | None:
    """Let a page read why it was refused; with several origins the gateway can only echo the caller's."""
    if cors is None:
        return None
    origins = cors.allow_origins or []
    origin = f"'{origins[0]}'" if len(origins) == 1 else "method.request.header.origin"
    return {"Access-Control-Allow-Origin": origin, "Vary": "'Origin'"}
