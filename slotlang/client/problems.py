"""What goes wrong between a client and a service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from slotlang.codes import EXPLANATIONS
from slotlang.diagnostics import Diagnostic, SlotError
from slotlang.service.fields import Wrong
from slotlang_runtime.errors import Rejected

UNREACHABLE = "SL580"
OTHERWISE = "SL581"

_AGAIN = frozenset({408, 425, 429, 502, 503, 504})


class ServiceProblem(SlotError):
    """A service refused a request, could not be reached, or answered otherwise than the protocol says. ``again``:
    whether the same request may be taken later; ``wait``: seconds until then, where the service said so."""

    def __init__(
        self, code: str, message: str, hint: str = "", *, again: bool = False, wait: float | None = None
    ) -> None:
        super().__init__([Diagnostic(code, message, hint=hint)])
        self.again, self.wait = again, wait

    @property
    def code(self) -> str:
        """The stable code."""
        return self.diagnostics[0].code


def otherwise(why: str, hint: str = "") -> ServiceProblem:
    """The service does not keep to the protocol."""
    return ServiceProblem(OTHERWISE, f"this is not an answer of the service: {why}", hint)


@contextmanager
def kept_to_protocol() -> Iterator[None]:
    """Within, a service's data that is not as its reader wants it is a ``ServiceProblem`` SL581."""
    try:
        yield
    except (Wrong, Rejected) as problem:
        raise otherwise(str(problem)) from None


def told(status: int, body: Any, headers: Mapping[str, str]) -> ServiceProblem:
    """The refusal that an answer is."""
    error = body.get("error") if isinstance(body, dict) else None
    wait: float | None = None
    with suppress(ValueError):
        wait = min(float(headers.get("Retry-After", "")), 60.0)
    if not isinstance(error, dict) or str(error.get("code")) not in EXPLANATIONS:
        if status in _AGAIN:
            hint = "something before it may have answered: ask again later"
            message = f"the service answered with status {status}"
            return ServiceProblem(UNREACHABLE, message, hint, again=True, wait=wait)
        if 300 <= status < 400:
            # the token goes to nobody but whom it was given for
            hint = "give the address of the service itself, if it is one that you trust"
            return otherwise(f"it leads to {shown(headers.get('Location', 'nowhere'), 200)}", hint)
        return otherwise(f"it has the status {status} and no code that is known here")
    return said(error, again=status in _AGAIN, wait=wait)


def said(error: Mapping[str, Any], *, again: bool = False, wait: float | None = None) -> ServiceProblem:
    """The refusal of code, message and hint, as the service wrote them: shown, and nothing else is done with them."""
    code = str(error.get("code"))
    if code not in EXPLANATIONS:
        return otherwise("it has a code that is not known here")
    message, hint = (shown(str(error.get(name, "")), 1000) for name in ("message", "hint"))
    return ServiceProblem(code, f"the service says: {message}", hint, again=again, wait=wait)


def shown(text: str, most: int = 1000) -> str:
    """What somebody else wrote, without what a terminal would obey."""
    return "".join(c if c.isprintable() else " " for c in text[:most])
