"""Every AWS limit this library relies on: value, unit, source, date read.

Sources were read in stored copies of the AWS documentation; the date is when.
"""

from typing import Final

API_GATEWAY_INTEGRATION_TIMEOUT_SECONDS: Final = 29
"""REST API, default maximum; more for regional and private APIs by a quota increase. Read 2026-11-20.
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html"""

API_GATEWAY_PAYLOAD_MIB: Final = 10
"""REST API, request and response, cannot be raised. Read 2026-11-20.
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html"""

LAMBDA_TIMEOUT_SECONDS: Final = 900
"""Longest run of a function outside managed instances. Read 2026-11-20.
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

LAMBDA_MEMORY_MIB: Final = (128, 10_240)
"""Least and most memory of a function, outside managed instances. Read 2026-11-20.
https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html"""

LAMBDA_STORAGE_MIB: Final = (512, 10_240)
"""Least and most ephemeral storage of a function. Read 2026-11-20.
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

LAMBDA_UNZIPPED_BYTES: Final = 262_144_000
"""Unzipped size of code and layers together. Read 2026-11-20.
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""
