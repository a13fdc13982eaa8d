"""The link between client and server, as a user names it: its rate and its round trip."""

from __future__ import annotations

import re
from dataclasses import dataclass

from slotlang.diagnostics import SlotError, error

RATES = {"bit": 1.0, "kbit": 1e3, "Mbit": 1e6, "Gbit": 1e9}
"""Bits a second, by unit."""

TIMES = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
"""Seconds, by unit."""

FASTEST, LONGEST = 1e15, 3600.0
"""Bits a second, and seconds, beyond which a value is taken for a mistake."""

_NUMBER = re.compile(r"(\d{1,15}(?:\.\d{1,9})?) ?([A-Za-z]+)(/s)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Link:
    """``rate``: bits a second in each direction, None where bytes take no time; ``round_trip``: seconds from a byte
    that is sent until one that answers it arrives, by a server that takes no time."""

    rate: float | None = None
    round_trip: float = 0.0

    def seconds(self, upload: float, download: float) -> float:
        """Seconds of a request's bytes on their way, one after the other."""
        return self.round_trip + (8 * (upload + download) / self.rate if self.rate else 0.0)

    @classmethod
    def named(cls, rate: str | None, round_trip: str | None) -> Link | None:
        """The link that a user names, such as ``100Mbit`` and ``20ms``; None where nothing is. Raises SL466."""
        if rate is None and round_trip is None:
            return None
        return cls(
            None if rate is None else _read(rate, RATES, "--link", "a rate above 0", "100Mbit", FASTEST),
            0.0 if round_trip is None else _read(round_trip, TIMES, "--rtt", "a time above 0", "20ms", LONGEST),
        )


def _read(text: str, units: dict[str, float], option: str, what: str, example: str, most: float) -> float:
    found = _NUMBER.fullmatch(text)
    unit = units.get(found[2]) if found and (option == "--link" or not found[3]) else None
    if found is None or unit is None:
        raise _wrong(option, f"{what}, such as {example}", text, units)
    value = float(found[1]) * unit
    if not 0 < value <= most:
        limit = f"at most {most / unit:g}{found[2]}"
        raise _wrong(option, f"{what}, {limit}", text, units)
    return value


def _wrong(option: str, expected: str, text: str, units: dict[str, float]) -> SlotError:
    hint = f"a number with a unit: {', '.join(units)}"
    return error("SL466", f"{option} is {expected}, not {text[:40]!r}", hint=hint)
