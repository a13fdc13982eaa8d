"""An emitted module loaded for validation: its bytes functions replaced, everything else run as it stands."""

from __future__ import annotations

import ast
import types
from collections.abc import Iterable
from typing import Any

import numpy as np

from slotlang.diagnostics import SlotError, error
from slotlang.meaning.bind import bind
from slotlang.meaning.program import Program, program_hash
from slotlang.source import Source, Span
from slotlang.syntax.parser import parse
from slotlang.validation import columns
from slotlang.validation.numpy_stand_in import Numpy, Places
from slotlang.validation.seal import Ciphertext, GaloisKeys, Plaintext, Seal, SecretKey

NEEDED = (
    "FORMAT", "PROGRAM", "SIZES", "PARAMETERS", "SLOTS", "INPUTS", "WEIGHTS", "SCALARS",
    "Client", "Server", "Rejected", "_saved", "pack", "unpack", "load_plaintext", "load_secret", "load_ciphertext",
    "load_keys", "part_mask", "slot_mask", "alone_doubled",
)  # fmt: skip
"""Names every emitted module defines."""


FORMAT = 2
"""Version of what modules define; it changes when a module of before can't be checked any more."""


def load(source: Source) -> types.ModuleType:
    """Execute a module's text, not as a script. Raises ``SlotError`` SL741 when that fails or names are missing, SL744
    when the module has another version than ``FORMAT``."""
    found = _format(source)
    if found is not None and found != FORMAT:
        raise error(
            "SL744",
            f"this module has version {found}; version {FORMAT} is checked",
            Span(source, 0, 0),
            hint="lower the program again, or check the module with the slotlang that wrote it",
        )
    module = types.ModuleType("module")
    try:
        exec(compile(source.text, source.name, "exec"), module.__dict__)
    except (Exception, SystemExit) as problem:
        raise _broken(source, f"{type(problem).__name__}: {problem}") from None
    missing = [name for name in NEEDED if not hasattr(module, name)]
    if missing:
        raise _broken(source, f"it does not define {missing[0]}")
    return module


def _format(source: Source) -> object:
    """The value of ``FORMAT`` in a module's text; None where there is none."""
    try:
        statements = ast.parse(source.text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    for statement in statements:
        match statement:
            case ast.Assign(targets=[ast.Name(id="FORMAT")], value=ast.Constant(value=value)):
                return value
    return None


def _broken(source: Source, why: str) -> SlotError:
    return error(
        "SL741",
        f"this is no module that `slotlang lower` wrote: {why}",
        Span(source, 0, 0),
        hint="lower the program again, or check the .slot program itself",
    )


def program_of(module: types.ModuleType, source: Source) -> Program:
    """The program a module carries, bound to the sizes it carries.

    Raises ``SlotError`` SL742 when the hash in its parameters is of another program, and what parsing and binding
    raise.
    """
    text, sizes = module.PROGRAM, module.SIZES
    if not isinstance(text, str) or not isinstance(sizes, dict):
        raise _broken(source, "PROGRAM or SIZES is of another kind")
    program = bind(parse(Source(f"{source.name}:PROGRAM", text)), sizes)
    if module.PARAMETERS.get("program") != program_hash(program):
        raise error(
            "SL742",
            "the program in this module is not the one whose hash its parameters carry",
            Span(source, 0, 0),
            notes=[f"PARAMETERS has {module.PARAMETERS.get('program')}", f"PROGRAM has {program_hash(program)}"],
            hint="a module whose program was changed is another module: lower the changed program",
        )
    return program


def stand_ins(module: types.ModuleType, seal: Seal) -> None:
    """Put the stand-ins in place: SEAL always, numpy for a run on expressions, bytes as the objects themselves, and
    the plaintexts that are made of residues."""
    module.seal = seal  # type: ignore[attr-defined]
    if seal.recorder is not None:
        module.np = Numpy()  # type: ignore[attr-defined]
    rejected: type[Exception] = module.Rejected

    def pack(kind: str, records: dict[Any, Any]) -> Any:
        if kind != "secret key" and any(isinstance(record, SecretKey) for record in records.values()):
            raise rejected(f"a secret key is among the {kind}")
        return kind, records

    def unpack(kind: str, data: Any, names: Iterable[Any]) -> Any:
        found, records = data
        if found != kind or set(records) != set(names):
            raise rejected(f"expected {kind}, got {found}, or other records")
        return dict(records)

    def checked(thing: Any, kind: type[Any], parms_id: list[int] | None, scale: float | None) -> Any:
        if type(thing) is not kind:
            raise rejected(f"expected {kind.__name__}, got {type(thing).__name__}")
        if parms_id is not None and (thing.parms_id() != parms_id or thing.scale != scale):
            raise rejected(f"the {kind.__name__} is not at the level or scale expected")
        return thing

    def load_plaintext(ring: Any, data: Any, level: int, scale: float, file: Any = None) -> Any:
        return checked(data, Plaintext, ring.levels[level], scale)

    def load_secret(ring: Any, data: Any) -> Any:
        return checked(data, SecretKey, None, None)

    def load_ciphertext(ring: Any, data: Any, level: int, products: int = 0, file: Any = None) -> Any:
        return checked(data, Ciphertext, ring.levels[level], ring.scale(level, products))

    def load_keys(ring: Any, make: Any, data: Any, places: int, wanted: Any) -> Any:
        if isinstance(data, GaloisKeys) and {(e - 1) // 2 for e in data.elements} != wanted:
            raise rejected("a key is missing from these evaluation keys, or is one too many")
        return checked(data, make, None, None)

    masks = Masks(seal)
    for name, function in {
        "_saved": lambda thing: thing,
        **{f.__name__: f for f in (pack, unpack, load_plaintext, load_secret, load_ciphertext, load_keys)},
        "part_mask": masks.of_part,
        "slot_mask": masks.of_slots,
        "alone_doubled": masks.alone_doubled,
    }.items():
        setattr(module, name, function)
    if hasattr(module, "Matrices"):
        columns.stand_ins(module, seal)
    if hasattr(module, "Sums"):
        module.Sums = lambda ring: Sums(seal, ring)  # type: ignore[attr-defined]


class Sums:
    """Sums of products by the stand-in's operations, every other one left to the module, which must do the same."""

    def __init__(self, seal: Seal, ring: Any) -> None:
        self._evaluator = seal.Evaluator(ring.context)
        self._calls = 0

    def __call__(self, _: Any, pairs: list[tuple[Ciphertext, Plaintext]]) -> Ciphertext | None:
        self._calls += 1
        if self._calls % 2 == 0:
            return None
        total = None
        try:
            for cipher, plain in pairs:
                product = Ciphertext()
                self._evaluator.multiply_plain(cipher, plain, product)
                if total is None:
                    total = product
                else:
                    self._evaluator.add_inplace(total, product)
        except RuntimeError as problem:
            if "transparent" not in str(problem):
                raise
            return Ciphertext()
        return total


class Masks:
    """Plaintexts that a module makes of residues: what they hold in slots, by what the module's docs say of them."""

    def __init__(self, seal: Seal) -> None:
        self._seal = seal

    def _plaintext(self, ring: Any, level: int, scale: float, parts: tuple[tuple[complex, Any], ...]) -> Plaintext:
        plain = Plaintext()
        plain.scale, plain.zero = scale, False
        plain._parms = list(ring.levels[level])
        if self._seal.recorder is not None:
            plain.identity = self._seal.recorder.unknown(parts)
        else:
            rng = np.random.default_rng()
            slots = self._seal.trace.slots
            copies = ring.encoder.slots // slots
            content = np.add.reduce([f * where * rng.uniform(1, 99, slots) for f, where in parts])
            plain.content = np.tile(content, copies)
            plain.identity = hash(plain.content.tobytes())
        return plain

    def of_part(self, ring: Any, level: int, scale: float, alone: str) -> Plaintext:
        """Anything in the part that is not ``alone``, in every slot."""
        everywhere = np.ones(self._seal.trace.slots, bool)
        return self._plaintext(ring, level, scale, ((1j if alone == "re" else 1, everywhere),))

    def of_slots(self, ring: Any, level: int, products: int, slots: Any) -> Plaintext:
        """Anything in some slots' real parts and some slots' imaginary parts."""
        return self._plaintext(ring, level, ring.scale(level, products), ((1, slots[0]), (1j, slots[1])))

    def alone_doubled(self, ring: Any, plain: Plaintext, level: int, alone: str) -> Plaintext:
        """Twice one part of what was decrypted."""
        doubled = Plaintext()
        doubled.scale, doubled.zero, doubled._parms = plain.scale, False, plain.parms_id()
        if isinstance(plain.content, Places):
            doubled.content = 2 * plain.content.alone(alone)
        else:
            conjugate = plain.content.conj()
            doubled.content = plain.content + (conjugate if alone == "re" else -conjugate)
        return doubled
