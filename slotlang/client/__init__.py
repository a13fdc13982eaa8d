"""The client of a service: keys, uploads and results of one user.

``Session(url, token)`` and ``AsyncSession``: ``keys()``, then ``update(module, x)`` for the tokens of a batch, in the
clear at the caller and encrypted everywhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slotlang.client.asynchronous import AsyncSession as AsyncSession
    from slotlang.client.problems import ServiceProblem as ServiceProblem
    from slotlang.client.synchronous import Session as Session

_HOMES = {"AsyncSession": "asynchronous", "Session": "synchronous", "ServiceProblem": "problems"}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    # imported when first asked for: a command that only reads its options starts faster
    if name not in _HOMES:
        raise AttributeError(f"module 'slotlang.client' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"slotlang.client.{_HOMES[name]}"), name)
