"""Both sides of a module: a new client, its keys as the server holds them, and the server with encoded weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from slotlang_runtime import Client, EvaluationKeys, Module, Server, Weights


class Sides(NamedTuple):
    client: Client
    key_bytes: int
    keys: EvaluationKeys
    server: Server


def sides(module: Module, weights: Mapping[str, Any]) -> Sides:
    client = Client(module)
    sent = client.evaluation_keys()
    return Sides(client, len(sent), EvaluationKeys.from_bytes(sent), Server(Weights.encode(module, **weights)))
