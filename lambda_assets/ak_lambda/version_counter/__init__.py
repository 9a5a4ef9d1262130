"""Counts the function versions on a pool of managed instances."""
