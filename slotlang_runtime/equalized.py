"""Equalized inputs: a power of two for each channel of an input, by which the input is divided, and the weights that
meet the channel are multiplied. ``B @ x == (B * e) @ (x / e)``, and powers of two are exact in doubles.

A channel is an index of the input's first axis. A program knows nothing of this: what is proved of B and x for all
values holds for ``B * e`` and ``x / e``, and so do the limits of inputs and the bounds of messages.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from slotlang_runtime.amounts import count_of
from slotlang_runtime.errors import EQUALIZED_OTHERWISE, NOT_EQUALIZED, Rejected
from slotlang_runtime.module import Module

Exponents: TypeAlias = Mapping[str, Sequence[int] | npt.NDArray[np.integer[Any]]]
"""By input: log2 of what each of its channels is divided by."""

MOST = 256
"""Largest |exponent|."""

SCHEMA = "slotlang.equalize/1"


def equalize(samples: Any, power: float = 0.5) -> npt.NDArray[np.int64]:
    """Exponents for an input, from samples of it: channels x tokens, as many tokens as there are.

    The size of a channel is its root mean square over the median one of the channels that are not zero. Each channel is
    divided by its size to this ``power``, rounded to a power of two; by 1 where that is less. So no element grows, and
    the norm of no token does, of the sample or not. With 1/2 the input and the weights share an outlier; 1 is best
    where weights are as small as channels are large. Raises Rejected for anything but finite real numbers.
    """
    if isinstance(samples, np.ma.MaskedArray):
        raise Rejected("the samples are a masked array: fill it, or take its rows without a mask", NOT_EQUALIZED)
    array = np.asarray(samples)
    if array.dtype.kind not in "fiu" or array.ndim == 0 or not array.size:
        raise Rejected("samples are arrays of real numbers, channels x tokens", NOT_EQUALIZED)
    if not 0 <= power <= 1:
        raise Rejected(f"the power is a number from 0 to 1, not {power}", NOT_EQUALIZED)
    array = np.abs(array.astype(np.float64).reshape(len(array), -1))
    if not np.isfinite(array).all():
        raise Rejected("samples hold NaN or infinity", NOT_EQUALIZED)
    # scaled, so that squares neither overflow nor vanish
    most = array.max(axis=1)
    used = most > 0
    exponents = np.zeros(len(array), np.int64)
    if used.any():
        shares = array[used] / most[used, None]
        sizes = np.log2(most[used]) + np.log2((shares**2).mean(axis=1)) / 2
        exponents[used] = np.clip(np.rint(power * (sizes - np.median(sizes))), 0, MOST).astype(np.int64)
    return exponents


def checked(module: Module, exponents: Exponents | None) -> dict[str, npt.NDArray[np.int64]]:
    """Exponents of the inputs that are equalized: those that are not all zero. Raises Rejected for names that are not
    inputs, other numbers of channels, and exponents that are not whole numbers of a moderate size."""
    found: dict[str, npt.NDArray[np.int64]] = {}
    for name, given in (exponents or {}).items():
        if name not in module.inputs or not module.inputs[name]:
            names = ", ".join(name for name, shape in module.inputs.items() if shape) or "none"
            raise Rejected(f"{module.name} has no input {name[:60]} with channels: it has {names}", NOT_EQUALIZED)
        channels = module.inputs[name][0]
        array = np.asarray(given)
        if array.shape != (channels,) or array.dtype.kind not in "iu":
            raise Rejected(
                f"exponents of {name} are {count_of(channels, 'whole number')}, one "
                f"for each channel, not {array.dtype} of shape "
                f"{array.shape}",
                NOT_EQUALIZED,
            )
        if (array > MOST).any() or (array < -MOST).any():
            worst = int(np.argmax(np.abs(array.astype(np.float64))))
            raise Rejected(f"exponent {worst} of {name} is {array[worst]}; they go to {MOST}", NOT_EQUALIZED)
        if array.any():
            found[name] = array.astype(np.int64)
    return found


def weights_that_meet(module: Module, names: Mapping[str, npt.NDArray[np.int64]]) -> dict[str, tuple[int, str]]:
    """For each weight whose dimension meets the channels of an equalized input: the dimension, and the input. By the
    module's theorems, which must be sums of products that end with an input.

    Raises Rejected where an equalized input or such a weight stands anywhere else in a theorem: then the result would
    be another one.
    """
    if not names:
        return {}
    found: dict[str, tuple[int, str]] = {}
    uses: list[tuple[str, tuple[int, str] | None]] = []
    for result in module.results:
        if result not in module.forms:
            raise _refused(names, f"{result} is not proved to be a sum of products that end with an input")
        for _, *factors in module.forms[result]:
            last = factors[-1]
            if last in names and (len(factors) == 1 or factors[-2].removesuffix(".T") not in module.weights):
                before = f"{factors[-2]} stands" if len(factors) > 1 else "nothing stands"
                raise _refused(names, f"{before} before {last} in {result}, and not a weight")
            for place, factor in enumerate(factors[:-1]):
                plain = factor.removesuffix(".T")
                if plain in names:
                    raise _refused(names, f"{plain} does not stand last in {result}")
                shape = module.weights.get(plain, ())
                if not shape:
                    continue
                meets = None
                if place == len(factors) - 2 and last in names:
                    meets = (0 if factor != plain else len(shape) - 1), last
                    found[plain] = meets
                uses.append((plain, meets))
    for weight, meets in uses:
        if weight in found and not _alike(found[weight], meets, names):
            raise _refused(names, f"{weight} stands in several places, and not always before the same channels")
    for weight, (axis, name) in found.items():
        if module.weights[weight][axis] != module.inputs[name][0]:
            raise _refused(names, f"dimension {axis} of {weight} does not have the channels of {name}")
    return found


def _alike(one: tuple[int, str], other: tuple[int, str] | None, names: Mapping[str, npt.NDArray[np.int64]]) -> bool:
    return other is not None and one[0] == other[0] and np.array_equal(names[one[1]], names[other[1]])


def _refused(names: Mapping[str, Any], reason: str) -> Rejected:
    return Rejected(f"{', '.join(names)} can't be equalized in this program: {reason}", NOT_EQUALIZED)


def divided(name: str, array: npt.NDArray[np.float64], exponents: npt.NDArray[np.int64], axis: int = 0) -> Any:
    """The array, with each slice along an axis divided by its power of two. Raises Rejected unless that is exact: where
    a number would overflow or become subnormal."""
    shape = [1] * array.ndim
    shape[axis] = len(exponents)
    with np.errstate(over="ignore", under="ignore"):
        found = np.ldexp(array, -exponents.reshape(shape))
    size = np.abs(found)
    exact = ((size >= np.finfo(np.float64).tiny) & np.isfinite(size)) | (array == 0)
    if not exact.all():
        place = np.unravel_index(int(np.argmin(exact)), exact.shape)
        text = ", ".join(map(str, place))
        raise Rejected(
            f"{name}[{text}] is {array[place]:.4g}, and 2^{-int(exponents[place[axis]])} times that is not exact in "
            "double precision",
            NOT_EQUALIZED,
        )
    return found


def folded(
    module: Module, exponents: Mapping[str, npt.NDArray[np.int64]], weights: Mapping[str, Any]
) -> dict[str, Any]:
    """Checked weights, with those that meet equalized channels multiplied by their powers of two. Raises Rejected."""
    found = dict(weights)
    for weight, (axis, name) in weights_that_meet(module, exponents).items():
        found[weight] = divided(weight, np.asarray(weights[weight], np.float64), -exponents[name], axis)
    return found


def digests(exponents: Mapping[str, npt.NDArray[np.int64]]) -> dict[str, str]:
    """What labels say of equalized inputs: a hash of the exponents of each."""
    return {name: hashlib.sha256(array.astype("<i8").tobytes()).hexdigest() for name, array in exponents.items()}


def check_equalized(module: Module, theirs: Any, ours: Mapping[str, str]) -> None:
    """Raise Rejected, naming both sides, unless inputs were equalized as the weights expect. ``theirs``: what the label
    of the inputs says, which may be anything."""
    given = theirs if isinstance(theirs, dict) else {} if theirs is None else {"?": repr(theirs)}
    for name in [*ours, *given]:
        if given.get(name) != ours.get(name):
            raise Rejected(
                f"in these inputs {name[:60]} is equalized by {_side(given.get(name))}; the weights of {module.name} "
                f"expect {_side(ours.get(name))}: give client and server the same exponents",
                EQUALIZED_OTHERWISE,
            )


def _side(digest: Any) -> str:
    return "nothing" if digest is None else f"exponents {str(digest)[:16]}"


def to_json(exponents: Exponents) -> str:
    """Exponents as the text of a file, which client and server share."""
    values = {name: np.asarray(array).tolist() for name, array in exponents.items()}
    return json.dumps({"schema": SCHEMA, "exponents": values}) + "\n"


def from_json(text: str) -> dict[str, npt.NDArray[np.int64]]:
    """What ``to_json`` wrote. Raises Rejected for another text."""
    try:
        content = json.loads(text)
        if content["schema"] != SCHEMA or set(content) != {"schema", "exponents"}:
            raise ValueError
        found = {name: _whole(values) for name, values in content["exponents"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Rejected(f"this is not a file of exponents ({SCHEMA})", NOT_EQUALIZED) from None
    return found


def _whole(values: Any) -> npt.NDArray[np.int64]:
    if type(values) is not list or not all(type(v) is int and abs(v) <= MOST for v in values):
        raise ValueError
    return np.array(values, np.int64)
