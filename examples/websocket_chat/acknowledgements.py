"""What cdk-nag and Checkov find in this example and why it is accepted here.

Each finding by its exact path and id: a new one must be looked at, and one that is gone must go here too.
docs/findings.md has the same for each construct, to paste.
"""

import aws_cdk as cdk

from examples.local import reasons
from examples.local.nag import Acknowledgement, acknowledge_all

FROM_QUEUES = ("Agent", "Queue/ResponseHandler", "Queue/DeadLetterHandler")
FROM_CALLERS = ("Api/AuthorizerFunction", "Api/ConnectionHandler", "Api/MessageHandler")
ALL_FUNCTIONS = (*FROM_QUEUES, *FROM_CALLERS, "Queue/Redrive")
FUNCTIONS = tuple(f"{name}/Resource" for name in ALL_FUNCTIONS)
ROLES = tuple(f"{name}Role/DefaultPolicy/Resource" for name in ALL_FUNCTIONS)
LOG_GROUPS = tuple(f"{name}Logs/Resource" for name in (*ALL_FUNCTIONS, "Api/Access"))
LAST_QUEUES = ("DeadLetters", "Parked", "ParkedReplies")
ALARMS = (
    "Api/IntegrationErrors",
    "Api/ExecutionErrors",
    *(f"Queue/{queue}{what}" for queue in LAST_QUEUES for what in ("Age", "Depth")),
)
ROUTES = ("$default", "$disconnect", "chat", "ping", "resume")
PAYLOADS = "QueuePayloads0A785006"
SOCKET_API = "ApiWebSocketApi2D925C7A"
PUSH = tuple(f"{name}Role/DefaultPolicy/Resource" for name in ("Agent", "Api/MessageHandler", "Queue/ResponseHandler"))
BUCKET = "Queue/Payloads/Resource"

ACKNOWLEDGEMENTS: list[Acknowledgement] = [
    reasons.UNNAMED.on(*ROLES),
    reasons.REQUESTS.on("AgentRole/DefaultPolicy/Resource", payloads=PAYLOADS),
    reasons.ANSWERS.on(*PUSH, payloads=PAYLOADS),
    reasons.POSTS.on(*PUSH, socket_api=SOCKET_API),
    reasons.INLINE.on(*ROLES),
    reasons.RUNTIME.on(*FUNCTIONS),
    reasons.FROM_QUEUE.on(*(f"{name}/Resource" for name in FROM_QUEUES)),
    reasons.CALLED.on(*(f"{name}/Resource" for name in FROM_CALLERS)),
    reasons.BY_HAND.on("Queue/Redrive/Resource"),
    reasons.CONCURRENCY.on(*FUNCTIONS),
    reasons.NETWORK.on(*FUNCTIONS),
    reasons.ENVIRONMENT.on(*FUNCTIONS),
    reasons.LOG_KEY.on(*LOG_GROUPS),
    reasons.MAPPING.on(*(f"Queue/{name}/Resource" for name in ("Mapping", "ResponseMapping", "DeadLetterMapping"))),
    reasons.QUEUE_KEY.on(*(f"Queue/{name}/Resource" for name in ("RequestQueue", "Replies", *LAST_QUEUES))),
    reasons.LAST_QUEUES.on(*(f"Queue/{name}/Resource" for name in LAST_QUEUES)),
    reasons.PARKED.on("Queue/Parked/Resource"),
    reasons.ALARM_ACTION.on(*(f"{alarm}Alarm/Resource" for alarm in ALARMS)),
    *(reason.on(BUCKET) for reason in (reasons.BUCKET_LOGS, reasons.BUCKET_COPIES, reasons.BUCKET_KEY)),
    reasons.CONNECTED.on(*(f"Api/WebSocketApi/{route}-Route/Resource" for route in ROUTES)),
]


def acknowledge(stack: cdk.Stack) -> None:
    """Attach every acknowledgement to its construct."""
    acknowledge_all(stack, ACKNOWLEDGEMENTS)
