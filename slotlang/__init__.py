"""slotlang: CKKS slot layouts and schedules that are proved, counted and run.

``from slotlang import load, check, cost, lower, run`` mirrors the commands. Names are imported when first used, so
that importing the package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slotlang.api import check, cost, load, loads, lower, plan, run
    from slotlang.diagnostics import SlotError

__all__ = ["SlotError", "check", "cost", "load", "loads", "lower", "plan", "run"]


def __getattr__(name: str) -> object:
    if name == "SlotError":
        from slotlang import diagnostics

        return diagnostics.SlotError
    if name in __all__:
        from slotlang import api

        return getattr(api, name)
    raise AttributeError(f"module 'slotlang' has no attribute '{name}'")
