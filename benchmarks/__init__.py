"""What we claim about speed and size, measured beside the peer in one run."""
