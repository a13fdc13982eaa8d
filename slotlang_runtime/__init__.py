"""What emitted modules run on: client, keys, weights and server for CKKS through TenSEAL.

Imports numpy, tenseal and, where it is there, numba; nothing of slotlang. Names are imported where they are first used:
``parameters`` and ``operations`` need neither tenseal nor numba.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slotlang_runtime.arrays import element as element
    from slotlang_runtime.arrays import table as table
    from slotlang_runtime.client import Client as Client
    from slotlang_runtime.client import SecretKey as SecretKey
    from slotlang_runtime.equalized import equalize as equalize
    from slotlang_runtime.errors import BelowPrecision as BelowPrecision
    from slotlang_runtime.errors import BeyondPromise as BeyondPromise
    from slotlang_runtime.errors import Rejected as Rejected
    from slotlang_runtime.errors import WorkerFailed as WorkerFailed
    from slotlang_runtime.gates import Gates as Gates
    from slotlang_runtime.keys import EvaluationKeys as EvaluationKeys
    from slotlang_runtime.limits import Limit as Limit
    from slotlang_runtime.module import Module as Module
    from slotlang_runtime.module import Output as Output
    from slotlang_runtime.module import Packing as Packing
    from slotlang_runtime.module import Plaintexts as Plaintexts
    from slotlang_runtime.module import Results as Results
    from slotlang_runtime.parameters import Parameters as Parameters
    from slotlang_runtime.script import main as main
    from slotlang_runtime.server import Answer as Answer
    from slotlang_runtime.server import Server as Server
    from slotlang_runtime.version import require as require
    from slotlang_runtime.weights import Weights as Weights
    from slotlang_runtime.workers import Pool as Pool

_HOMES = {
    "element": "arrays",
    "table": "arrays",
    "Client": "client",
    "SecretKey": "client",
    "equalize": "equalized",
    "BelowPrecision": "errors",
    "BeyondPromise": "errors",
    "Rejected": "errors",
    "WorkerFailed": "errors",
    "Gates": "gates",
    "EvaluationKeys": "keys",
    "Limit": "limits",
    "main": "script",
    "Module": "module",
    "Output": "module",
    "Packing": "module",
    "Plaintexts": "module",
    "Results": "module",
    "Parameters": "parameters",
    "Answer": "server",
    "Server": "server",
    "require": "version",
    "Weights": "weights",
    "Pool": "workers",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'slotlang_runtime' has no attribute {name!r}")
    return getattr(import_module(f"slotlang_runtime.{_HOMES[name]}"), name)
