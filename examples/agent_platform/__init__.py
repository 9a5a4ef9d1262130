"""Two agents as a platform runs them: a pool of managed instances, warm environments, no stale versions."""
