"""What cdk-nag and Checkov find in this example and why it is accepted here.

Each finding by its exact path and id: a new one must be looked at, and one that is gone must go here too.
docs/findings.md has the same for each construct, to paste.
"""

import aws_cdk as cdk

from examples.local import reasons
from examples.local.nag import Acknowledgement, acknowledge_all

APIS = ("Waits", "Accepts")
QUEUE_HANDLERS = ("Queue/ResponseHandler", "Queue/DeadLetterHandler", "Queue/Redrive")
API_HANDLERS = tuple(f"{api}/{name}" for api in APIS for name in ("RequestHandler", "Health"))
ALL_FUNCTIONS = ("Agent", *API_HANDLERS, *QUEUE_HANDLERS)
FUNCTIONS = tuple(f"{name}/Resource" for name in ALL_FUNCTIONS)
ROLES = tuple(f"{name}Role/DefaultPolicy/Resource" for name in ALL_FUNCTIONS)
LOG_GROUPS = tuple(f"{name}Logs/Resource" for name in (*ALL_FUNCTIONS, *(f"{api}/Access" for api in APIS)))
LAST_QUEUES = ("DeadLetters", "Parked", "ParkedReplies")
ALARMS = (
    *(f"Queue/{queue}{what}Alarm" for queue in LAST_QUEUES for what in ("Age", "Depth")),
    *(f"{api}/ThrottledAlarm" for api in APIS),
)
FROM_QUEUES = ("Agent/Resource", "Queue/ResponseHandler/Resource", "Queue/DeadLetterHandler/Resource")
FROM_CALLERS = tuple(f"{name}/Resource" for name in API_HANDLERS)
ROUTES = ("api/v1/chat/POST", "api/v1/chat/GET", "api/v1/chat/{request_id}/GET")
PAYLOADS = "QueuePayloads0A785006"
READ_REQUESTS = (
    "AgentRole/DefaultPolicy/Resource",
    *(f"{api}/RequestHandlerRole/DefaultPolicy/Resource" for api in APIS),
)
BUCKET = "Queue/Payloads/Resource"

ACKNOWLEDGEMENTS: list[Acknowledgement] = [
    reasons.UNNAMED.on(*ROLES),
    reasons.REQUESTS.on(*READ_REQUESTS, payloads=PAYLOADS),
    reasons.ANSWERS.on(*READ_REQUESTS, "Queue/ResponseHandlerRole/DefaultPolicy/Resource", payloads=PAYLOADS),
    reasons.INLINE.on(*ROLES),
    reasons.RUNTIME.on(*FUNCTIONS),
    reasons.FROM_QUEUE.on(*FROM_QUEUES),
    reasons.CALLED.on(*FROM_CALLERS),
    reasons.BY_HAND.on("Queue/Redrive/Resource"),
    reasons.CONCURRENCY.on(*FUNCTIONS),
    reasons.NETWORK.on(*FUNCTIONS),
    reasons.ENVIRONMENT.on(*FUNCTIONS),
    reasons.LOG_KEY.on(*LOG_GROUPS),
    reasons.MAPPING.on(*(f"Queue/{name}/Resource" for name in ("Mapping", "ResponseMapping", "DeadLetterMapping"))),
    reasons.QUEUE_KEY.on(*(f"Queue/{name}/Resource" for name in ("RequestQueue", "Replies", *LAST_QUEUES))),
    reasons.LAST_QUEUES.on(*(f"Queue/{name}/Resource" for name in LAST_QUEUES)),
    reasons.PARKED.on("Queue/Parked/Resource"),
    reasons.ALARM_ACTION.on(*(f"{alarm}/Resource" for alarm in ALARMS)),
    *(reason.on(BUCKET) for reason in (reasons.BUCKET_LOGS, reasons.BUCKET_COPIES, reasons.BUCKET_KEY)),
    *(accepted for api in APIS for accepted in reasons.of_signed_api(api, ROUTES)),
]


def acknowledge(stack: cdk.Stack) -> None:
    """Attach every acknowledgement to its construct."""
    acknowledge_all(stack, ACKNOWLEDGEMENTS)
