"""What the runtime raises."""

from __future__ import annotations


class Rejected(ValueError):
    """Bytes, arrays or arguments that do not fit; the message says what was expected and what came."""


class WorkerFailed(RuntimeError):
    """A worker process ended before its work was done, or could not start; the message says how."""
