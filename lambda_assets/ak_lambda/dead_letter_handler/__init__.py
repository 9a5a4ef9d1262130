"""Answers requests whose runs all failed, and parks them."""
