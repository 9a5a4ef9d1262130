"""Asks for parked requests and replies once more, when somebody says so."""
