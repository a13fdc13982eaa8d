"""What ``python module.py`` does: client and server at work on random or given data."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from slotlang_runtime.client import Client
from slotlang_runtime.data import random_data, read_data, relative_error, within_promise
from slotlang_runtime.errors import BAD_ARGUMENT, BelowPrecision, BeyondPromise, Rejected
from slotlang_runtime.keys import EvaluationKeys
from slotlang_runtime.module import Module
from slotlang_runtime.server import Server
from slotlang_runtime.weights import Weights


def main(module: Module, arguments: Sequence[str] | None = None) -> int:
    """Encrypt, evaluate and decrypt random or given data, and print the error against numpy. Returns the exit status: 0
    where every result is within what the module promises, 1 where one is not, or is below its precision (SL535), so
    that it promises none of it, 2 for bad input."""
    parser = argparse.ArgumentParser(description=f"{module.name}: encrypted evaluation on random or given data.")
    parser.add_argument("--data", type=Path, help="an .npz file with the inputs, weights and scalars by name")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random data")
    options = parser.parse_args(arguments)
    # what is refused of arrays after they were read is of that file
    where = ""
    try:
        if options.seed < 0:
            raise Rejected("--seed must not be negative", BAD_ARGUMENT)
        inputs, weights = random_data(module, options.seed)
        made_up = read_data(options.data, inputs, weights) if options.data else []
        client = Client(module)
        where = f"{options.data}: " if options.data else ""
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always", BelowPrecision)
            warnings.simplefilter("always", BeyondPromise)
            server = Server(Weights.encode(module, **weights))
            keys = EvaluationKeys.from_bytes(client.evaluation_keys())
            answer = server.evaluate(client.encrypt(**inputs), keys)
            results = client.decrypt(answer.data)
    except (Rejected, OSError) as problem:
        code = f"[{problem.code}]" if isinstance(problem, Rejected) else ""
        print(f"error{code}: {where}{problem}", file=sys.stderr)
        return 2
    if made_up:
        print(f"note: {options.data} has no {', '.join(made_up)}: random numbers stand there", file=sys.stderr)
    expected = module.reference(inputs, weights)
    for warning in seen:
        print("warning" + str(warning.message).replace("]", "]:", 1), file=sys.stderr)
    # such a result may be within the absolute error, and still not have the relative one that was asked for
    status = int(any(issubclass(warning.category, BelowPrecision) for warning in seen))
    for name, wanted in expected.items():
        value = results[name] if len(expected) > 1 else results
        print(f"{name}: shape {value.shape}, relative rms error {relative_error(value, wanted):.1e}")
        right, off, allowed = within_promise(module, name, value, wanted)
        if not right:
            status = 1
            print(f"{name}: the rms error is {off:.1e}, and at most {allowed:.1e} was promised", file=sys.stderr)
    print(f"evaluation: {1000 * answer.seconds:.1f} ms, {dict(answer.counts)}")
    if server.note:
        print(server.note)
    return status
