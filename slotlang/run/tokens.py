"""Tokens of a file, or random ones, as evaluations of a program."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from slotlang.diagnostics import error
from slotlang.meaning.program import Program
from slotlang.planning.limits import limits
from slotlang.run.activations import open_activations
from slotlang.run.roles import token_input
from slotlang.run.runner import Arrays, Batches
from slotlang_runtime.amounts import count_of


def split_tokens(
    program: Program, inputs: Arrays, path: Path | None, tokens: int | None, seed: int
) -> tuple[Batches, int, int | None]:
    """This many tokens as evaluations of the program: those of a file, one per row, or random ones.

    Without ``tokens`` all of the file; with them only these are read. The last evaluation is padded with zeros. Returns
    how many tokens that is, too, and how many the file holds. Raises SL505 when the file does not fit or holds fewer
    tokens, and SL506 when the program's result is not computed token by token.
    """
    name = token_input(program.syntax).name
    shape = program.tensors[name].shape
    held = None
    if path is None:
        # a stream of its own: random weights come from the one of the seed alone
        values = np.random.default_rng([seed, 1]).standard_normal((shape[0], tokens or 1))
        values = limits(program)[name].fitted(values)
    else:
        stored = open_activations(path, shape[0], name)
        held = stored.tokens
        if tokens is not None and held < tokens:
            message = f"{count_of(tokens, 'token')} are asked for, and the file holds {held}"
            raise error("SL505", message, file=str(path), hint="ask for fewer with --tokens, or give more rows")
        values = stored.read(tokens)
    batch = shape[1] if len(shape) == 2 else 1
    count = int(values.shape[1])
    padding = -count % batch
    if padding:
        values = np.pad(values, ((0, 0), (0, padding)))
    parts = np.split(values, values.shape[1] // batch, axis=1)
    made = [{**inputs, name: part if len(shape) == 2 else part[:, 0]} for part in parts]
    return Batches(made, padding), count, held
