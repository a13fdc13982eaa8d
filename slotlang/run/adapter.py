"""PEFT adapters and saved activations, read as numpy arrays.

Everything here comes from files that someone else wrote, so every way in which they can be wrong ends in
one ``SlotError``: SL501 (a file can't be read), SL503 (the configuration), SL504 (the tensors), SL505 (an
array of activations). Nothing is unpickled, and what is read is bounded.

The layout, the scaling and the matching of patterns are those of ``peft.tuners.lora``, as the source of PEFT
0.21.2 has them.
"""

from __future__ import annotations

import io
import json
import math
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize

from slotlang.diagnostics import SlotError, closest, error
from slotlang.files import NotRegular, read_regular

__all__ = ["Adapter", "LoraModule", "read_activations", "read_adapter"]

Array = NDArray[np.float64]
T = TypeVar("T")
Tensor = Mapping[str, Any]
"""As safetensors gives it: ``dtype`` (its own name), ``shape`` (list of int), ``data`` (bytes)."""

CONFIG_NAME: Final = "adapter_config.json"
WEIGHTS_NAME: Final = "adapter_model.safetensors"
MAX_CONFIG_BYTES: Final = 1 << 20
MAX_ARRAY_BYTES: Final = 4 << 30
"""The largest safetensors or .npy file that is read. As float64 it takes up to four times that in memory."""
MAX_RANK: Final = 1 << 20
MAX_NAME: Final = 400
MAX_MATCH_WAYS: Final = 3 * 10**8
"""The budget for matching one pattern table with all modules: seconds, not minutes."""

# the package gives it no types
_parse_safetensors: Callable[[bytes], list[tuple[str, Tensor]]] = deserialize


@dataclass(frozen=True, slots=True, eq=False)
class LoraModule:
    """The low-rank update of one linear layer: ``scaling * up @ (down @ x)`` for x of shape (d_in,).

    ``down`` (rank x d_in) is PEFT's ``lora_A`` and ``up`` (d_out x rank) its ``lora_B``, both float64,
    finite and read-only. ``scaling`` is not multiplied into either.
    """

    name: str
    down: Array
    up: Array
    scaling: float
    rank: int

    @property
    def d_in(self) -> int:
        """The width of the layer's input."""
        return int(self.down.shape[1])

    @property
    def d_out(self) -> int:
        """The width of the layer's output."""
        return int(self.up.shape[0])


@dataclass(frozen=True, slots=True, eq=False)
class Adapter:
    """The LoRA modules of a folder, keyed and sorted by their path in the base model.

    ``extra`` names tensors that were saved beside them and are not used: whole layers that PEFT's
    ``modules_to_save`` retrained, embedding tables.
    """

    path: Path
    modules: dict[str, LoraModule]
    extra: tuple[str, ...] = ()

    def module(self, name: str) -> LoraModule:
        """The module at the path ``name``, or the only one whose path ends in ``.name``.

        Raises SL502 when there is none, or more than one.
        """
        if name in self.modules:
            return self.modules[name]
        hits = [path for path in self.modules if path.endswith(f".{name}")]
        if len(hits) == 1:
            return self.modules[hits[0]]
        if hits:
            message = f"{_shown(name)} names {len(hits)} modules of the adapter"
            notes, hint = [f"it could be {_listed(hits)}"], "give more of the path"
        else:
            message = f"the adapter holds no module {_shown(name)}"
            parts = name.count(".") + 1
            suffixes = {".".join(path.split(".")[-parts:]) for path in self.modules}
            notes, hint = [f"it holds {_listed(self.modules)}"], closest(name, sorted(suffixes))
        raise error("SL502", message, notes=notes, hint=hint, file=str(self.path))


def read_adapter(directory: Path) -> Adapter:
    """Read ``adapter_config.json`` and ``adapter_model.safetensors`` of a PEFT LoRA adapter.

    The scaling of a module is ``alpha / rank``, or ``alpha / sqrt(rank)`` with ``use_rslora``, at the rank
    and alpha that ``rank_pattern`` and ``alpha_pattern`` give for its path.

    ``fan_in_fan_out`` is accepted and changes nothing. It says that the *base* layer stores its weight as
    (d_in x d_out); PEFT keeps ``lora_A`` as (r x d_in) and ``lora_B`` as (d_out x r) all the same, applies
    them as they are, and transposes only their product when it merges that into the base weight.

    Raises SL501, SL503 or SL504 as the module's docstring says.
    """
    try:
        is_folder = directory.is_dir()
    except OSError:
        is_folder = False
    if not is_folder:
        hint = f"give the folder that holds {CONFIG_NAME} and {WEIGHTS_NAME}"
        raise error("SL501", "the adapter is not a folder that can be read", hint=hint, file=str(directory))
    config = _read_config(directory / CONFIG_NAME)
    path = directory / WEIGHTS_NAME
    pairs, extra = _pair(_read_tensors(path), path)
    names = sorted(pairs)
    ranks = _match(config.rank_pattern, "rank_pattern", names, config.path)
    alphas = _match(config.alpha_pattern, "alpha_pattern", names, config.path)
    modules = {}
    for name in names:
        rank = ranks.get(name, config.rank)
        down, up = (_matrix(pairs[name][side], f"lora_{side} of {name}", path) for side in "AB")
        if down.shape[0] != rank or up.shape[1] != rank:
            notes = (
                f"lora_A is {_size(down.shape)}, to be rank x d_in",
                f"lora_B is {_size(up.shape)}, to be d_out x rank",
                f"the rank is {rank}, from {'rank_pattern' if name in ranks else 'r'} in {CONFIG_NAME}",
            )
            message = f"the matrices of {name} do not have the rank that the configuration gives"
            raise error("SL504", message, notes=notes, file=str(path))
        scaling = alphas.get(name, config.alpha) / (math.sqrt(rank) if config.rslora else rank)
        modules[name] = LoraModule(name, down, up, scaling, rank)
    return Adapter(directory, modules, tuple(sorted(extra)))


def read_activations(path: Path, features: int, tokens: int | None) -> Array:
    """Activations from a ``.npy`` file, as float64 of shape (features x tokens): a column is a token.

    The file holds them the way numpy and transformers users store them, **a row per token**: shape
    (tokens x features), or (features,) for a single token. A square array is read as rows of tokens too.
    Any of numpy's floats and integers will do. ``tokens`` is the number of tokens required, or None for as
    many as there are.

    Raises SL505 when the file can't be read or is no .npy file, when it holds something other than finite
    real numbers, or when its shape is not as above.
    """
    fail = partial(error, "SL505", file=str(path))
    raw = _read_file(path, MAX_ARRAY_BYTES, "SL505")
    stream = io.BytesIO(raw)
    try:
        shape, fortran_order, dtype = _npy_header(stream)
    except Exception as reason:
        # numpy evaluates the header as a Python literal, which fails in more ways than it documents
        notes = [_first_line(reason)]
        hint = "save it with numpy.save(path, array)"
        raise fail("the file is not a .npy array, or is damaged", notes=notes, hint=hint) from None
    if dtype.kind not in "fiu":
        hint = "save them as float32 or float64"
        raise fail(f"activations must be real numbers, not {_shown(str(dtype))}", hint=hint)
    held = len(raw) - stream.tell()
    if math.prod(shape) * dtype.itemsize != held or any(n < 0 for n in shape):
        notes = [f"the header says {_size(shape)} of {dtype}", f"the file holds {held} bytes of data"]
        raise fail("the file is truncated, or is not what its header says", notes=notes)
    rows = (1, *shape) if len(shape) == 1 else shape
    if len(rows) != 2 or 0 in rows or rows[1] != features or tokens not in (None, rows[0]):
        hint = ""
        if len(shape) == 2 and shape[0] == features:
            hint = "a row is a token: save the transpose, array.T"
        elif len(shape) > 2 and shape[-1] == features:
            hint = f"a row is a token: save array.reshape(-1, {features})"
        wanted = f"the program takes {tokens or 'tokens'} x {features}, a row per token"
        notes = [f"the file holds {_size(shape)}", wanted]
        raise fail("the activations do not have the shape of the input", notes=notes, hint=hint)
    flat = _as_float64(np.frombuffer(raw, dtype, offset=stream.tell()))
    array = flat.reshape(rows, order="F" if fortran_order else "C")
    if bad := _first_not_finite(array):
        raise fail("the activations hold values that are not finite", notes=[bad])
    return np.ascontiguousarray(array.T)


def activation_rows(path: Path, features: int) -> int:
    """How many tokens an array of activations holds, from its header and the file's size alone; 0 for an array that
    ``read_activations`` refuses, and for a single token. Raises SL505 when the file can't be read."""
    stream = io.BytesIO(_read_file(path, MAX_ARRAY_BYTES, "SL505", _MAX_HEADER))
    try:
        shape, _, dtype = _npy_header(stream)
        whole = math.prod(shape) * dtype.itemsize == path.stat().st_size - stream.tell()
    except Exception:
        # numpy evaluates the header as a Python literal, which fails in more ways than it documents
        return 0
    return shape[0] if whole and len(shape) == 2 and shape[1] == features else 0


_MAX_HEADER: Final = 1 << 17


def _npy_header(stream: io.BytesIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    with warnings.catch_warnings(action="ignore"):
        version = np.lib.format.read_magic(stream)
        if version not in _NPY_HEADERS:
            raise ValueError(f"version {version} of the format is unknown")
        found: tuple[tuple[int, ...], bool, np.dtype[Any]] = _NPY_HEADERS[version](stream)
        return found


_NPY_HEADERS: Final[Mapping[tuple[int, int], Callable[..., Any]]] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
    # 3.0 differs from 2.0 in the encoding of the field names of structured arrays only, which are refused
    (3, 0): np.lib.format.read_array_header_2_0,
}

# --- the configuration ------------------------------------------------------------------------------------

REFUSED: Final[Mapping[str, str]] = {
    "use_dora": "DoRA rescales the sum of base weight and update by a norm of that sum",
    "lora_bias": "a bias is added to lora_B, so the update is not linear in x",
    "bias": "the biases of the base layers were trained too",
    "use_qalora": "QA-LoRA averages groups of the input's entries before lora_A",
    "alora_invocation_tokens": "aLoRA applies the update to some tokens only",
    "target_parameters": "several matrices (experts) are stacked in one tensor",
    "use_bdlora": "BD-LoRA stores one factor as the blocks of a block-diagonal matrix",
    "kasa_config": "KaSA puts a diagonal matrix between the factors",
    "arrow_config": "Arrow chooses between adapters for each token",
    "monteclora_config": "MonteCLoRA draws the factors at random",
}
"""Options of ``LoraConfig`` under which the update is not ``scaling * B @ A @ x``, with the reason."""


@dataclass(frozen=True, slots=True)
class _Config:
    path: Path
    rank: int
    alpha: float
    rslora: bool
    rank_pattern: dict[str, int]
    alpha_pattern: dict[str, float]


def _read_config(path: Path) -> _Config:
    raw = _read_file(path, MAX_CONFIG_BYTES, "SL501")
    try:
        config = json.loads(raw)
    except (ValueError, RecursionError) as broken:
        notes = [_first_line(broken)]
        raise error("SL501", f"{CONFIG_NAME} is not valid JSON", notes=notes, file=str(path)) from None
    if not isinstance(config, dict):
        raise error("SL501", f"{CONFIG_NAME} is not a JSON object", file=str(path))
    fail = partial(error, "SL503", file=str(path))
    if config.get("peft_type") != "LORA":
        raise fail(f"peft_type must be 'LORA', not {_shown(config.get('peft_type'))}")
    for option, reason in REFUSED.items():
        if config.get(option) and config[option] != "none":
            notes = ["the update of a module must be scaling * B @ A @ x"]
            raise fail(f"{option} is not supported: {reason}", notes=notes)
    for option in ("use_rslora", "fan_in_fan_out"):
        if not isinstance(config.get(option, False), bool):
            raise fail(f"{option} must be true or false, not {_shown(config[option])}")

    def rank(value: object, what: str) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_RANK:
            return value
        raise fail(f"{what} must be a whole number from 1 to {MAX_RANK}, not {_shown(value)}")

    def alpha(value: object, what: str) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            if abs(value) <= sys.float_info.max:
                return float(value)
        raise fail(f"{what} must be a finite number, not {_shown(value)}")

    def pattern(option: str) -> dict[str, object]:
        value = config.get(option)
        if value is not None and not isinstance(value, dict):
            raise fail(f"{option} must be an object, not {_shown(value)}")
        return value or {}

    return _Config(
        path=path,
        rank=rank(config.get("r"), "r"),
        alpha=alpha(config.get("lora_alpha"), "lora_alpha"),
        rslora=config.get("use_rslora", False),
        rank_pattern={k: rank(v, f"rank_pattern[{_shown(k)}]") for k, v in pattern("rank_pattern").items()},
        alpha_pattern={k: alpha(v, f"alpha_pattern[{_shown(k)}]") for k, v in pattern("alpha_pattern").items()},
    )


def _match(table: Mapping[str, T], option: str, names: Sequence[str], path: Path) -> dict[str, T]:
    """The value of the first key that matches, for each module that one matches.

    The match is PEFT's ``re.match(rf"(.*\\.)?({key})$", name)``. A key that matches no module is an error.
    """
    found: dict[str, T] = {}
    fail = partial(error, "SL503", file=str(path))
    longest, deepest = (max(map(measure, names)) for measure in (len, lambda name: name.count(".")))
    budget = MAX_MATCH_WAYS
    for key, value in table.items():
        budget -= len(names) * (deepest + 1) * _ways(key, longest)
        if budget < 0:
            notes = ["repeated groups, flags and many wildcards can make a match take for ever"]
            message = f"the key {_shown(key)} of {option} is too complicated for {len(names)} modules"
            raise fail(message, notes=notes, hint="write keys as plain module names")
        try:
            with warnings.catch_warnings(action="ignore"):
                regex = re.compile(rf"(.*\.)?({key})$")
        except (re.error, OverflowError, RecursionError) as reason:
            message = f"the key {_shown(key)} of {option} is not a regular expression"
            raise fail(message, notes=[_first_line(reason)]) from None
        hits = [name for name in names if regex.match(name)]
        if not hits:
            notes = [f"the adapter holds {_listed(names)}"]
            message = f"the key {_shown(key)} of {option} matches no module"
            raise fail(message, notes=notes, hint=closest(key, names))
        for name in hits:
            found.setdefault(name, value)
    return found


def _ways(key: str, length: int) -> int:
    """A bound on the ways in which ``key`` can match a name of at most ``length`` characters.

    Python's matcher backtracks, so ``(a+)+`` takes time exponential in the name's length, and a stranger's
    file chooses both. Without repeated groups, a way passes each quantifier and each ``|`` at most once and
    the choices multiply. With one, or with a flag that could hide one, the answer is over any budget.
    """
    bare = re.sub(r"\\.|\[\^?\]?(?:\\.|[^\\\]])*\]", "x", f"({key})", flags=re.DOTALL)
    bare = re.sub(r"\(\?(?::|<?[=!])", "(", bare)
    if len(key) > MAX_NAME or "(?" in bare or re.search(r"\)[*+{]", bare):
        return MAX_MATCH_WAYS + 1
    repeats, choices = len(re.findall(r"[*+{]", bare)), len(re.findall(r"[?|]", bare))
    return int((length + 1) ** repeats * 2**choices)


# --- the tensors ------------------------------------------------------------------------------------------

_LORA_KEY = re.compile(
    r"base_model\.model\.(?P<name>[\w-]+(?:\.[\w-]+)*)\.lora_(?P<side>[AB])(?:\.default)?\.weight", re.ASCII
)
_KEY_FORM: Final = "keys look like base_model.model.<path>.lora_A.weight"
_DTYPES: Final = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "BF16": "<u2"}


def _read_tensors(path: Path) -> dict[str, Tensor]:
    raw = _read_file(path, MAX_ARRAY_BYTES, "SL501")
    try:
        return dict(_parse_safetensors(raw))
    except SafetensorError as reason:
        lfs = raw.startswith(b"version https://git-lfs")
        notes = [_first_line(reason), f"the file holds {len(raw)} bytes"]
        hint = "this is a git-lfs pointer: run git lfs pull" if lfs else "fetch the adapter again"
        message = f"{WEIGHTS_NAME} is not a safetensors file, or is damaged"
        raise error("SL501", message, notes=notes, hint=hint, file=str(path)) from None


def _pair(tensors: Mapping[str, Tensor], path: Path) -> tuple[dict[str, dict[str, Tensor]], list[str]]:
    """Module path to its ``A`` and ``B``, and the keys of the tensors that are not LoRA's."""
    fail = partial(error, "SL504", file=str(path))
    pairs: dict[str, dict[str, Tensor]] = {}
    extra = []
    for key, tensor in tensors.items():
        found = _LORA_KEY.fullmatch(key) if len(key) <= MAX_NAME else None
        if found is None:
            if len(key) > MAX_NAME or "lora_" in key:
                raise _strange_key(key, path)
            extra.append(key)
        elif found["side"] in pairs.setdefault(found["name"], {}):
            raise fail(f"lora_{found['side']} of {found['name']} is there twice")
        else:
            pairs[found["name"]][found["side"]] = tensor
    if not pairs:
        notes = [f"it holds {_listed(extra)}" if extra else "it holds no tensors at all"]
        raise fail(f"{WEIGHTS_NAME} holds no LoRA matrices", notes=notes, hint=_KEY_FORM)
    for name, sides in pairs.items():
        for side in "AB":
            if side not in sides:
                raise fail(f"lora_{side} of {name} is missing")
    for key in extra:
        parts = key.removeprefix("base_model.model.").split(".")
        owners = (".".join(parts[:i]) for i in range(1, len(parts)))
        if owner := next((owner for owner in owners if owner in pairs), ""):
            notes = ["what it adds to the update is unknown"]
            raise fail(f"{owner} has a tensor besides its LoRA matrices: {_shown(key)}", notes=notes)
    return pairs, extra


def _strange_key(key: str, path: Path) -> SlotError:
    code, note = "SL504", _KEY_FORM
    if "lora_magnitude_vector" in key:
        code, note = "SL503", f"it belongs to use_dora: {REFUSED['use_dora']}"
    elif re.search(r"lora_[AB](\.default)?\.bias$", key):
        code, note = "SL503", f"it belongs to lora_bias: {REFUSED['lora_bias']}"
    elif "lora_embedding" in key:
        note = "the update of an embedding looks up rows of a table; it is not a product with x"
    return error(code, f"the tensor {_shown(key)} is not supported", notes=[note], file=str(path))


def _matrix(tensor: Tensor, what: str, path: Path) -> Array:
    """One factor as a read-only float64 matrix; neither of its sides is 0."""
    fail = partial(error, "SL504", file=str(path))
    dtype, shape = tensor["dtype"], tuple(tensor["shape"])
    if dtype not in _DTYPES:
        notes = ["float16, bfloat16, float32 and float64 can be read"]
        raise fail(f"{what} is stored as {_shown(dtype)}", notes=notes)
    if len(shape) != 2 or 0 in shape:
        raise fail(f"{what} is not a matrix", notes=[f"its shape is {_size(shape)}"])
    flat: NDArray[Any] = np.frombuffer(tensor["data"], dtype=_DTYPES[dtype])
    if dtype == "BF16":
        # bfloat16 is the upper half of a float32; numpy has no such dtype
        flat = (flat.astype(np.uint32) << 16).view(np.float32)
    matrix = _as_float64(flat).reshape(shape)
    if bad := _first_not_finite(matrix):
        raise fail(f"{what} holds values that are not finite", notes=[bad])
    matrix.setflags(write=False)
    return matrix


# --- shared -----------------------------------------------------------------------------------------------


def _read_file(path: Path, limit: int, code: str, first: int | None = None) -> bytes:
    """The bytes of a regular file of at most ``limit`` bytes, or the ``first`` bytes of it."""
    fail = partial(error, code, file=str(path))
    name = _plain(path.name)
    try:
        if not path.exists():
            pickled = "only a pickle is there, which can run code when it is loaded, so it is not read"
            notes = [pickled] if path.name == WEIGHTS_NAME and path.with_suffix(".bin").exists() else []
            raise fail(f"{name} is missing", notes=notes)
        size = path.stat().st_size
        if size > limit:
            notes = [f"it has {size} bytes; at most {limit} are read"]
            raise fail(f"{name} is too large", notes=notes)
        wanted = size if first is None else min(size, first)
        return read_regular(path, wanted)[:wanted]
    except NotRegular:
        raise fail(f"{name} is not a regular file") from None
    except (OSError, ValueError) as reason:
        raise fail(f"{name} can't be read", notes=[_first_line(reason)]) from None


def _as_float64(flat: NDArray[Any]) -> Array:
    # a signalling NaN, or a long double out of range, makes numpy warn; the caller looks for both itself
    with np.errstate(all="ignore"):
        return flat.astype(np.float64)


def _first_not_finite(matrix: Array) -> str:
    """Where the first NaN or infinity is, or an empty string."""
    finite = np.isfinite(matrix)
    if finite.all():
        return ""
    row, column = np.argwhere(~finite)[0]
    return f"the first is {matrix[row, column]}, in row {row}, column {column}"


def _size(shape: Iterable[int]) -> str:
    return _plain(" x ".join(str(n) for n in shape)) or "a single number"


def _plain(text: str, limit: int = 80) -> str:
    """A stranger's text in a message: short, on one line, and unable to move the cursor."""
    text = ascii(text)[1:-1]
    return text if len(text) <= limit else f"{text[:limit]}..."


def _shown(value: object) -> str:
    """A value of a JSON file in a message."""
    match value:
        case str():
            return f"'{_plain(value)}'"
        case None | bool() | int() | float():
            return _plain(json.dumps(value))
        case _:
            return "an array" if isinstance(value, list) else "an object"


def _listed(names: Iterable[str], limit: int = 20) -> str:
    names = list(names)
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(_plain(name) for name in names[:limit]) + more


def _first_line(reason: Exception) -> str:
    return _plain(str(reason).partition("\n")[0], 200) or type(reason).__name__
