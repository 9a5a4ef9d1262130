"""Says of a bearer token whose it is and which routes it opens."""
