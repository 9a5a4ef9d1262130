"""What the stages of REST and WebSocket APIs have in common."""

STAGE = "prod"
DEFAULT_RATE_LIMIT = 100
BURST_FACTOR = 2
