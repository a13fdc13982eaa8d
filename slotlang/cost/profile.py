"""What the primitives of CKKS cost on a machine: a measured profile, where it is found, and what lies between."""

from __future__ import annotations

import json
import math
import os
import platform
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from slotlang.cost.primitives import BY_NUMBER, BY_SLOTS, KEY_SWITCH, KINDS_OF_KERNELS, OF_KERNELS, PRIMITIVES
from slotlang.diagnostics import Diagnostic, SlotError, error
from slotlang.files import read_regular
from slotlang_runtime.amounts import count_of
from slotlang_runtime.parameters import LARGEST_PRIME, LAZY_BITS

SCHEMA = "slotlang.profile/11"

Table = Mapping[int, Mapping[str, Mapping[int, float]]]


@dataclass(frozen=True, slots=True)
class Machine:
    """What times depend on. ``processor``: its model; ``tenseal``: the version of the package."""

    processor: str
    architecture: str
    cores: int
    tenseal: str


@dataclass(frozen=True)
class Profile:
    """Seconds of process CPU time by degree, primitive and number of data primes, one thread, medians.

    ``date``: ISO, of the measurement. ``load``: the machine's one-minute load average then; above 1 other
    work ran beside it. ``source``: the file, for messages. ``kernels``: times of compiled kernels, for primes
    of any size, empty where they were not measured: all of ``OF_KERNELS``, and those of ``PRIMITIVES`` that take
    another time with them, at every degree the same ones. ``small``: the same for primes of at most so many bits,
    which have kernels of their own.
    """

    name: str
    machine: Machine
    date: str
    load: float
    table: Table
    source: str = field(default="", compare=False)
    kernels: Table = field(default_factory=dict)
    small: Mapping[int, Table] = field(default_factory=dict)
    _asked: dict[tuple[str, int, int], float] = field(default_factory=dict, init=False, compare=False, repr=False)

    def __repr__(self) -> str:
        return f"<Profile {self.name}, {self.date}: degrees {', '.join(map(str, self.table))}>"

    @cached_property
    def without_kernels(self) -> Profile:
        """The profile of SEAL's operations alone."""
        return replace(self, kernels={}, small={}) if self.kernels else self

    @cached_property
    def _of_small(self) -> dict[int, Profile]:
        return {bits: replace(self, kernels=table) for bits, table in self.small.items()}

    def of_primes(self, bits: Iterable[int]) -> Profile:
        """The profile for primes of so many bits, the key prime among them: with the kernels of the smallest
        that they fit."""
        largest = max(bits)
        return self._of_small[min(fits)] if (fits := [most for most in self.small if largest <= most]) else self

    def key_switch(self, degree: int, primes: int) -> float:
        """Seconds of a rotation that shares nothing with others."""
        parts = KEY_SWITCH if self.kernels else ("rotate",)
        return sum(self.seconds(part, degree, primes) for part in parts)

    def transforms(self, degree: int, primes: int) -> float:
        """Seconds of transforming one polynomial modulo each of so many primes, by compiled kernels: the digits of a
        polynomial take ``primes + 1`` times as many transforms."""
        return self.seconds("decompose", degree, primes) / (primes + 1)

    def seconds(self, primitive: str, degree: int, primes: int) -> float:
        """Seconds of one primitive over ``primes`` data primes; over as many slots, where it is one of ``BY_SLOTS``.

        Between and beyond those measured, time per prime is taken to be linear in their number, and not to fall
        beyond: a key switch over k primes takes ``a*k**2 + b*k``, since k residues are each transformed modulo
        k + 1 primes, and everything else is proportional to k. Other degrees N go by N log N from the nearest.
        """
        # a search asks the same a million times
        asked = primitive, degree, primes
        if asked not in self._asked:
            self._asked[asked] = self._seconds(primitive, degree, primes)
        return self._asked[asked]

    def _seconds(self, primitive: str, degree: int, primes: int) -> float:
        if primitive in BY_SLOTS:
            degree = 2 * primes
        compiled = any(primitive in primitives for primitives in self.kernels.values())
        table = self.kernels if compiled else self.table
        near = degree if degree in table else min(table, key=lambda n: (abs(math.log2(n / degree)), n))
        measured = table[near][primitive]
        if primitive in BY_SLOTS + BY_NUMBER:
            (number, seconds), *_ = measured.items()
            return seconds * (primes / number if primitive in BY_SLOTS else 1.0)
        scale = degree * math.log2(degree) / (near * math.log2(near))
        if primes in measured:
            return measured[primes] * scale
        known = sorted(measured)
        if len(known) == 1:
            # one number of primes: keys have k residues modulo k + 1 primes
            square = primitive in ("galois_key", "relin_key", "save_key", "load_key", "decompose", "key_product")
            factor = primes * (primes + 1) / (known[0] * (known[0] + 1)) if square else primes / known[0]
            return measured[known[0]] * scale * factor
        at = min(max(bisect_left(known, primes), 1), len(known) - 1)
        low, high = known[at - 1 : at + 1]
        a, b = measured[low] / low, measured[high] / high
        slope = (b - a) / (high - low)
        if primes > high:
            slope = max(slope, 0.0)
        base, rate = (low, a) if primes < high else (high, b)
        return max(rate + slope * (primes - base), 0.0) * primes * scale

    def warnings(self, here: Machine) -> Iterator[Diagnostic]:
        """SL443 and SL444: what sets the measured machine apart from this one. There is no SL444 for the profile that
        comes with the package: nobody chose it, and it fits few machines. ``note`` says so beside the times."""
        hint = "measure this machine: slotlang calibrate"
        there = self.machine
        if there.tenseal != here.tenseal:
            message = f"the profile '{self.name}' was measured with TenSEAL {there.tenseal}, and this is {here.tenseal}"
            yield Diagnostic("SL443", message, hint=hint, file=self.source)
        if self._is_elsewhere(here) and not self._is_shipped():
            message = f"the profile '{self.name}' was measured on another machine"
            notes = (
                f"there: {there.processor} ({there.architecture})",
                f"here: {here.processor} ({here.architecture})",
            )
            yield Diagnostic("SL444", message, notes=notes, hint=hint, file=self.source)

    def note(self, here: Machine) -> str | None:
        """What to say beside predicted times when they are those of the package's profile, and of another machine."""
        if not (self._is_elsewhere(here) and self._is_shipped()):
            return None
        processor = f"{self.machine.processor} ({self.machine.architecture})"
        return f"note: these times are of another machine, {processor}; to measure this one: slotlang calibrate"

    def _is_elsewhere(self, here: Machine) -> bool:
        there = self.machine
        return (there.processor, there.architecture) != (here.processor, here.architecture)

    def _is_shipped(self) -> bool:
        return self.source == str(shipped_profile())

    def to_json(self) -> dict[str, object]:
        """The text of a profile file; times in microseconds."""
        machine = {name: getattr(self.machine, name) for name in Machine.__slots__}
        kinds = {LARGEST_PRIME: self.kernels, **self.small}
        return {
            "schema": SCHEMA,
            "name": self.name,
            "machine": machine,
            "date": self.date,
            "load": round(self.load, 2),
            "microseconds": _microseconds(self.table),
            **({"kernels": {str(bits): _microseconds(table) for bits, table in kinds.items()}} if self.kernels else {}),
        }


def _microseconds(table: Table) -> dict[str, object]:
    return {
        str(degree): {
            primitive: {str(primes): round(1e6 * s, 3) for primes, s in sorted(times.items())}
            for primitive, times in primitives.items()
        }
        for degree, primitives in sorted(table.items())
    }


def this_machine() -> Machine:
    """The machine and the TenSEAL this runs with."""
    processor = platform.processor()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                processor = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    try:
        tenseal = version("tenseal")
    except PackageNotFoundError:
        tenseal = "none"
    architecture = platform.machine() or "unknown"
    return Machine(processor or architecture, architecture, os.cpu_count() or 1, tenseal)


def shipped_profile() -> Path:
    """The profile that comes with the package."""
    return Path(__file__).parent / "profiles" / "default.json"


def user_profile() -> Path:
    """Where ``calibrate`` writes and everything else looks: ``$XDG_CONFIG_HOME/slotlang/profile.json``, with
    ``~/.config`` where the variable is not set."""
    config = os.environ.get("XDG_CONFIG_HOME")
    return (Path(config) if config else Path.home() / ".config") / "slotlang" / "profile.json"


def find_profile(path: Path | None = None) -> Profile:
    """The profile given, else that of the environment's SLOTLANG_PROFILE, else the user's, else the shipped one.

    Raises SL441 when it can't be read, SL442 when it is damaged or of another version.
    """
    named = path or (Path(os.environ["SLOTLANG_PROFILE"]) if os.environ.get("SLOTLANG_PROFILE") else None)
    if named is not None:
        return read_profile(named)
    own = user_profile()
    return read_profile(own) if own.exists() else _shipped()


@cache
def _shipped() -> Profile:
    return read_profile(shipped_profile())


MAX_BYTES = 1 << 22
"""Largest file taken for a profile."""


def read_profile(path: Path) -> Profile:
    """The profile in a file. Raises SL441 when it can't be read, SL442 when it is not a profile."""
    try:
        data = read_regular(path, MAX_BYTES)
        if len(data) > MAX_BYTES:
            raise _wrong(
                path, f"it has {count_of(path.stat().st_size, 'byte')}, and profiles have at most {MAX_BYTES:,}"
            )
        text = data.decode()
    except FileNotFoundError:
        raise error("SL441", f"there is no file {path}", file=str(path)) from None
    except UnicodeDecodeError:
        raise _wrong(path, "it is not text") from None
    except (OSError, ValueError) as problem:
        raise error(
            "SL441", f"can't read {path}: {getattr(problem, 'strerror', None) or problem}", file=str(path)
        ) from None
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise _wrong(path, f"it is not JSON: {problem}") from None
    return parse_profile(values, path)


def _wrong(path: Path, reason: str) -> SlotError:
    return error(
        "SL442",
        f"{path.name} is not a profile of this version: {reason}",
        file=str(path),
        hint="measure again: slotlang calibrate",
    )


def parse_profile(data: Any, path: Path) -> Profile:
    """The profile that ``to_json`` wrote as ``data``. Raises SL442 where the data is wrong."""

    def take(values: Any, key: str, kind: type, what: str) -> Any:
        value = values.get(key) if isinstance(values, dict) else None
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise _wrong(path, f"{what} is missing or of the wrong kind")
        return value

    schema = take(data, "schema", str, "'schema'")
    if schema != SCHEMA:
        raise _wrong(path, f"its schema is '{schema[:60]}', and '{SCHEMA}' is expected")
    machine = take(data, "machine", dict, "'machine'")
    kinds = {"cores": int}
    values = {k: take(machine, k, kinds.get(k, str), f"'{k}' of 'machine'") for k in Machine.__slots__}

    def tables(degrees: Any, of: str, wanted: Iterable[str]) -> Table:
        table: dict[int, dict[str, dict[int, float]]] = {}
        for degree, primitives in degrees.items():
            number = _count(path, degree, "degree")
            if number < 2 or number & (number - 1):
                raise _wrong(path, f"degree {number} is not a power of two")
            table[number] = {}
            for primitive in wanted:
                what = f"'{primitive}' at degree {number}{of}"
                times = take(primitives, primitive, dict, what)
                column: dict[int, float] = {}
                for primes in times:
                    seconds = take(times, primes, float, f"{what}, {primes[:9]} primes") / 1e6
                    if not 0 <= seconds < 1e6:
                        raise _wrong(path, f"{what} takes {seconds} s")
                    column[_count(path, primes, "number of primes")] = seconds
                if not column:
                    raise _wrong(path, f"{what} has no times")
                table[number][primitive] = column
        if not table:
            raise _wrong(path, f"it has no degrees{of}")
        return table

    table = tables(take(data, "microseconds", dict, "'microseconds'"), "", PRIMITIVES)
    kernels: dict[int, Table] = {}
    if "kernels" in data:
        section = take(data, "kernels", dict, "'kernels'")
        for bits in KINDS_OF_KERNELS:
            if bits == LAZY_BITS and str(bits) not in section:
                continue
            degrees = take(section, str(bits), dict, f"'{bits}' of 'kernels'")
            # what one degree has, all have
            named = [set(given) for given in degrees.values() if isinstance(given, dict)]
            others = [primitive for primitive in PRIMITIVES if any(primitive in given for given in named)]
            kernels[bits] = tables(
                degrees, f" of kernels for primes of {count_of(bits, 'bit')}", (*OF_KERNELS, *others)
            )
    return Profile(
        take(data, "name", str, "'name'"),
        Machine(**values),
        take(data, "date", str, "'date'"),
        take(data, "load", float, "'load'"),
        table,
        str(path),
        kernels.pop(LARGEST_PRIME, {}),
        kernels,
    )


def _count(path: Path, text: str, what: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 7 and int(text)):
        raise _wrong(path, f"'{text[:20]}' is no {what}")
    return int(text)
