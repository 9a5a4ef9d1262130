"""Brings the secrets of an agent with a handler of the user's own, then calls that."""
