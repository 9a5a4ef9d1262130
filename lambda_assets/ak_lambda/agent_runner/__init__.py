"""Runs the user's agent, whatever event brings the request."""
