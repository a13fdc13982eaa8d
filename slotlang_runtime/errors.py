"""Errors that the runtime raises."""

from __future__ import annotations


class Rejected(ValueError):
    """Bytes, arrays or arguments that do not fit. ``what``: what was expected and what was given; ``hint``: what to do,
    where that is known. As text it is both. ``code``: the stable code of the message; ``slotlang explain CODE``
    explains it."""

    def __init__(self, what: str, code: str, hint: str = "") -> None:
        super().__init__(f"{what}: {hint}" if hint else what)
        self.what, self.code, self.hint = what, code, hint

    def __reduce__(self) -> tuple[type[Rejected], tuple[str, str, str]]:
        # workers send it between processes
        return type(self), (self.what, self.code, self.hint)


LOWER = "lower the program"
"""How hints name what makes another module of a program; a command that does so by itself says its own name."""


FOR_DATA = " and --data FILE, with arrays like these, so that errors are small beside them"
"""What hints add for whoever lowers a program apart from its data: a command that knows the data leaves it out."""


BAD_ARGUMENT = "SL005"
"""An argument of a command or a function is wrong."""

BAD_ARRAY = "SL523"
"""An input, weight or scalar is not an array of finite real numbers as the program declares it."""

DAMAGED_BYTES = "SL543"
"""Bytes are not what the runtime writes: damaged, cut off, or something else."""

BYTES_OF_ANOTHER = "SL544"
"""Bytes belong to another program, ring or kind, or keys lack what the program needs."""

NOT_EVALUATED = "SL545"
"""A module's parameters or functions can't be evaluated: it was edited."""

OTHER_FORMAT = "SL744"
"""A module has another emission format."""

OTHER_RUNTIME = "SL746"
"""A module was emitted for another runtime."""

INPUT_BEYOND_LIMIT = "SL531"
"""An input is larger than the program takes."""

WEIGHTS_TOO_LARGE = "SL532"
"""With these weights a message could wrap around the modulus, for some input within the limits."""

WEIGHTS_BREAK_BOUND = "SL534"
"""Weights are larger than the program assumes."""

RESULT_OUT_OF_RANGE = "SL533"
"""A decrypted result is larger than the guarantee allows."""


NOT_EQUALIZED = "SL541"
"""Exponents that do not fit a program or its values, or a program that does not allow them."""

EQUALIZED_OTHERWISE = "SL542"
"""Inputs are equalized otherwise than the weights expect."""


BAD_RANKS = "SL586"
"""A gate does not fit a program, or the program has none."""


BELOW_PRECISION = "SL535"
"""A decrypted result, or weights, are too small for the precision that was asked for."""


class BelowPrecision(RuntimeWarning):
    """A result whose rms is below its error over the module's precision, or weights that rounding changes by more than
    that. Results are not known to be wrong, and not known to the precision that was asked for.
    ``warnings.simplefilter("ignore", BelowPrecision)`` silences it."""


BEYOND_PROMISE = "SL538"
"""With these weights errors are larger than the module promises."""


class BeyondPromise(RuntimeWarning):
    """Weights with which the errors of results are more than twice as large as the module promises: they are larger
    than those that it was lowered for. ``warnings.simplefilter("ignore", BeyondPromise)`` silences it; clients are told
    all the same."""


class WorkerFailed(RuntimeError):
    """A worker could not start, or has ended; the message says how."""
