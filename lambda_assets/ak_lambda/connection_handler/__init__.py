"""Keeps who is connected, and answers what is no message to the agent."""
