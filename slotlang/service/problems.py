"""What the service says no with: a diagnostic's code and words, and a status of HTTP."""

from __future__ import annotations

import errno
import logging
from collections.abc import Mapping
from typing import Any

from slotlang.diagnostics import Diagnostic, SlotError
from slotlang_runtime.errors import BAD_RANKS, Rejected

_LOG = logging.getLogger("slotlang.service")

NO_TOKEN = "SL570"
MISSING = "SL571"
MALFORMED = "SL572"
TOO_LARGE = "SL573"
TOO_MANY = "SL574"
BUSY = "SL575"
OTHER_REQUEST = "SL576"
OTHER_VERSION = "SL577"
NO_KEYS = "SL578"
FAILED = "SL579"
NO_RANKS = BAD_RANKS

TOKENS_HINT = "`slotlang token add FOLDER TENANT` makes one, with --admin for loading, unloading and metrics"

_STATUS: Mapping[str, int] = {
    NO_TOKEN: 401,
    MISSING: 404,
    MALFORMED: 400,
    TOO_LARGE: 413,
    TOO_MANY: 429,
    BUSY: 503,
    OTHER_REQUEST: 409,
    OTHER_VERSION: 409,
    NO_KEYS: 409,
    FAILED: 500,
}
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_UNFIT = 422
"""Of what the runtime or a manifest refuses: well-formed requests with bytes that do not fit."""


class Refusal(Exception):
    """A request is refused. ``retry_after``: seconds after which the same request may be taken."""

    def __init__(
        self, code: str, message: str, *, hint: str = "", status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.diagnostic = Diagnostic(code, message, hint=hint)
        self.status = status or _STATUS.get(code, _UNFIT)
        self.retry_after = retry_after

    def __reduce__(self) -> Any:
        # workers send it between processes
        d = self.diagnostic
        return _refusal, (d.code, d.message, d.hint, self.status, self.retry_after)

    @property
    def code(self) -> str:
        """The stable code."""
        return self.diagnostic.code

    def to_json(self) -> dict[str, Any]:
        """The body of the answer."""
        d = self.diagnostic
        return {"error": {"code": d.code, "message": d.message, "hint": d.hint}}


def _refusal(code: str, message: str, hint: str, status: int, retry_after: float | None) -> Refusal:
    return Refusal(code, message, hint=hint, status=status, retry_after=retry_after)


def refusal(problem: BaseException) -> Refusal:
    """What a client is told of an exception. Of one that nobody expects it is told nothing but that."""
    match problem:
        case Refusal():
            return problem
        case Rejected():
            return Refusal(problem.code, str(problem)[:1000])
        case SlotError():
            first = problem.diagnostics[0]
            return Refusal(first.code, first.message, hint=first.hint, status=_STATUS.get(first.code, _UNFIT))
        case OSError() if problem.errno in _NO_ROOM:
            _LOG.error("the disk is full: %s", problem)
            return Refusal(BUSY, "the service's disk is full", retry_after=30.0)
        case OSError():
            # no descriptor is free, a disk fails: of what is there it says nothing
            _LOG.error("the system failed: %s", problem)
            return Refusal(BUSY, "the service can't use its files now", hint="try again", retry_after=5.0)
        case _:
            return Refusal(FAILED, "the service failed in a way it should not; its log says how")
