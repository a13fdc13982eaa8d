"""Errors that the runtime raises."""

from __future__ import annotations


class Rejected(ValueError):
    """Bytes, arrays or arguments that do not fit; the message says what was expected and what was given."""


class WorkerFailed(RuntimeError):
    """A worker process could not start, or ended before its work was done; the message says how."""
