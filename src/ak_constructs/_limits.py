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

API_GATEWAY_WEBSOCKET_AUTHORIZER_BYTES: Final = 8192
"""What the authorizer of a WebSocket API may return, cannot be raised. Read 2026-11-21.
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html"""

API_GATEWAY_WEBSOCKET_INTEGRATION_TIMEOUT_SECONDS: Final = 29
"""How long a route of a WebSocket API waits for its function, cannot be raised. Read 2026-11-21.
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html"""

API_GATEWAY_WEBSOCKET_IDLE_SECONDS: Final = 600
"""How long a connection lives on which nothing is sent, cannot be raised. Read 2026-11-21.
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html"""

API_GATEWAY_WEBSOCKET_CONNECTION_SECONDS: Final = 7200
"""How long any connection lives, cannot be raised. Read 2026-11-21.
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html"""

API_GATEWAY_WEBSOCKET_FRAME_BYTES: Final = 32_768
"""One frame; whoever sends a longer one is disconnected with code 1009, cannot be raised. Read 2026-11-21.
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html"""

API_GATEWAY_WEBSOCKET_MESSAGE_BYTES: Final = 131_072
"""All frames of one message, cannot be raised. Read 2026-11-21.
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html"""

API_GATEWAY_WEBSOCKET_ROUTES: Final = 300
"""Routes of a WebSocket API, $connect and the like too; more by a quota increase. Read 2026-11-21.
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html"""

LAMBDA_PYTHON_RUNTIMES: Final = {
    "3.11": ("2027-06-30", "2027-07-31", "2027-08-31"),
    "3.12": ("2028-10-31", "2028-11-30", "2029-01-10"),
    "3.13": ("2029-06-30", "2029-07-31", "2029-08-31"),
    "3.14": ("2029-06-30", "2029-07-31", "2029-08-31"),
}
"""Of each Python that our runner works in: when AWS ends its support, and lets nobody create or update functions.
Read 2026-11-21. https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html"""

LAMBDA_TIMEOUT_SECONDS: Final = 900
"""Longest run of a function outside managed instances. Read 2026-11-20.
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

LAMBDA_DEFAULT_TIMEOUT_SECONDS: Final = 3
"""How long a function may run that says nothing. Read 2026-11-21.
https://docs.aws.amazon.com/lambda/latest/dg/configuration-timeout.html"""

LAMBDA_INIT_SECONDS: Final = 10
"""How long an environment may take to start; one that takes longer starts once more, within the function's timeout.
Read 2026-11-21. https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html"""

LAMBDA_MANAGED_TIMEOUT_SECONDS: Final = 5400
"""Longest run on managed instances, for asynchronous invokes and event source mappings. Read 2026-11-20.
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

LAMBDA_MEMORY_MIB: Final = (128, 10_240)
"""Least and most memory of a function, outside managed instances. Read 2026-11-20.
https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html"""

LAMBDA_VCPU_MIB: Final = 1769
"""Memory with which a function has one whole virtual processor. Read 2026-11-21.
https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html"""

LAMBDA_STORAGE_MIB: Final = (512, 10_240)
"""Least and most ephemeral storage of a function. Read 2026-11-20.
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

LAMBDA_UNZIPPED_BYTES: Final = 262_144_000
"""Unzipped size of code and layers together. Read 2026-11-20.
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

LAMBDA_ENVIRONMENT_BYTES: Final = 4096
"""All environment variables of a function together. Read 2026-11-21.
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

LAMBDA_SQS_CONCURRENCY: Final = (2, 1000)
"""Least and most MaximumConcurrency of an SQS event source mapping. Read 2026-11-21.
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-lambda-eventsourcemapping-scalingconfig.html"""

SQS_DEDUPLICATION_SECONDS: Final = 300
"""How long a FIFO queue drops a message with a deduplication id that it has accepted. Read 2026-11-21.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/using-messagededuplicationid-property.html"""

SQS_MESSAGE_BYTES: Final = 1_048_576
"""A message with its attributes, 1 MiB since August 2025. Read 2026-11-20.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html"""

SQS_RETENTION_SECONDS: Final = (60, 1_209_600)
"""Least and most time for which a queue keeps a message. Read 2026-11-21.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html"""

SQS_VISIBILITY_SECONDS: Final = 43_200
"""Longest visibility timeout, 12 hours. Read 2026-11-21.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html"""

ELASTICACHE_SERVERLESS_ZONES: Final = 3
"""Availability zones that a serverless cache keeps its data in. Read 2026-11-21.
https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/WhatIs.deployment.html"""

LAMBDA_MANAGED_MEMORY_MIB: Final = (2048, 32_768)
"""Least and most memory of a function on managed instances. Read 2026-11-21.
https://docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances-scaling.html
https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html"""

LAMBDA_MANAGED_GIB_PER_VCPU: Final = (2, 8)
"""Least and most ExecutionEnvironmentMemoryGiBPerVCpu. Read 2026-11-21.
https://docs.aws.amazon.com/lambda/latest/api/API_LambdaManagedInstancesCapacityProviderConfig.html"""

LAMBDA_MANAGED_CONCURRENCY: Final = (1, 1600)
"""Least and most PerExecutionEnvironmentMaxConcurrency. Read 2026-11-21.
https://docs.aws.amazon.com/lambda/latest/api/API_LambdaManagedInstancesCapacityProviderConfig.html"""

LAMBDA_MANAGED_CONCURRENCY_PER_VCPU: Final = 64
"""Most concurrent runs for each vCPU of an execution environment. Read 2026-11-21.
https://docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances-scaling.html"""

LAMBDA_MANAGED_ENVIRONMENTS: Final = (1, 15_000)
"""Least and most execution environments of a version that runs; 0 deactivates it. Read 2026-11-21.
https://docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances-scaling.html"""

LAMBDA_MANAGED_DEFAULT_ENVIRONMENTS: Final = 3
"""Execution environments that a version keeps when nothing is said; and instances that a pool starts. Read 2026-11-21.
https://docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances-scaling.html"""

LAMBDA_MANAGED_FEE_PERCENT: Final = 15
"""What Lambda charges on top of the price of the instances. Read 2026-11-21.
https://docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances.html"""

CAPACITY_PROVIDER_VERSIONS: Final = 100
"""Function versions for each capacity provider, cannot be raised. Read 2026-11-21.
https://docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances-quotas.html"""

CAPACITY_PROVIDER_SUBNETS: Final = (1, 16)
"""Least and most subnets of a capacity provider. Read 2026-11-21.
https://docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances-capacity-providers.html"""

CAPACITY_PROVIDER_TAGS: Final = 40
"""Tags that a capacity provider may propagate. Read 2026-11-21.
https://docs.aws.amazon.com/lambda/latest/api/API_PropagateTags.html"""

LAMBDA_RESERVED_NAMES: Final = frozenset(
    {
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_DEFAULT_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
    }
)
"""Variables that Lambda sets and nobody else may, but for those that begin with an underscore. Read 2026-11-21.
https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html"""
