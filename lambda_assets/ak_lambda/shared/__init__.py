"""Adapters that two or more functions use."""
