"""Keeps environments warm; `answers_ping` is for handlers of your own that lie beside this package."""

from ak_lambda.keep_warm.ping import answers_ping

__all__ = ["answers_ping"]
