"""Gives each request its one final answer."""
