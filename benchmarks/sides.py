"""Both sides of a module: a new client, its keys as the server holds them, and the server with encoded weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from slotlang_runtime import Client, EvaluationKeys, Module, Rejected, Server, Weights
from slotlang_runtime.ranges import check_range


class Sides(NamedTuple):
    client: Client
    key_bytes: int
    keys: EvaluationKeys
    server: Server


def sides(module: Module, weights: Mapping[str, Any]) -> Sides:
    client = Client(module)
    sent = client.evaluation_keys()
    return Sides(client, len(sent), EvaluationKeys.from_bytes(sent), Server(Weights.encode(module, **weights)))


def in_range(module: Module, weights: dict[str, Any]) -> dict[str, Any]:
    """The weights, halved until parameters that were chosen without them hold what can become of them. Times are the
    same."""
    for _ in range(64):
        try:
            check_range(module, weights)
        except Rejected:
            weights = {name: np.asarray(w) / 2 for name, w in weights.items()}
        else:
            break
    return weights
