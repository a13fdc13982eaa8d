"""Layouts of programs for modules that read one input: ``y_m = s_m * A_m @ B_m @ x`` for each module m of a group.

They are the structures "squat B, tall A" of docs/synth.md with two differences. Views of the intermediate result may
share the digits of one decomposition. This needs a key for every step; the programs of one adapter share these keys.
Modules of equal shape may stand in *lanes*: a slot belongs to lane ``h % E``, so that E modules share the rotations of
one (``programs/several_outputs.slot``).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal, TypeAlias

from slotlang.cost.predict import Calls, slot_calls, total
from slotlang.cost.primitives import KEY_SWITCH
from slotlang.cost.profile import Profile
from slotlang.schedule import doubling
from slotlang.search.prices import ASSUMED_PRIMES
from slotlang_runtime.parameters import SUMS_TOGETHER

Packing: TypeAlias = Literal["real", "pairs", "tokens"]
"""What the imaginary part of a slot is used for: nothing; a second rank; a second token."""


@dataclass(frozen=True, slots=True, order=True)
class Update:
    """The shape of a module's update: rows of A, and its rank."""

    rows: int
    rank: int


@dataclass(frozen=True, slots=True)
class GroupShape:
    """What a program computes: updates of one x, columns x tokens."""

    columns: int
    tokens: int
    updates: tuple[Update, ...]

    @property
    def text(self) -> str:
        """``4096 -> 1024, 1024 (rank 16)``."""
        ranks = sorted({update.rank for update in self.updates})
        rows = ", ".join(str(update.rows) for update in self.updates)
        return f"{self.columns} -> {rows} (rank {', '.join(map(str, ranks))})"


@dataclass(frozen=True, slots=True)
class Part:
    """Modules, by their numbers in the group, that stand in lanes: their shapes are equal, and their number is a power
    of two. ``ranks``: rows of each B (pairs of them, or not) that stand side by side, a power of two; what is more goes
    to further ciphertexts. ``radix``: of the sum by doubling. ``direct``: products are rotated by a key for each step,
    and so is the intermediate result; else by one key, step after step."""

    members: tuple[int, ...]
    ranks: int
    radix: int
    direct: bool


@dataclass(frozen=True, slots=True)
class Layout:
    """A program for a group: ``slots`` of a ciphertext hold ``side`` tokens side by side for each position."""

    shape: GroupShape
    slots: int
    side: int
    packing: Packing
    parts: tuple[Part, ...]

    @property
    def positions(self) -> int:
        """C: slots of one token in a ciphertext."""
        return self.slots // self.side

    @property
    def inputs(self) -> int:
        """K: ciphertexts of x."""
        return -(-self.shape.columns // self.positions)

    def rows_of(self, part: Part) -> int:
        """Slots that a module's intermediate result takes for a token."""
        rank = self.shape.updates[part.members[0]].rank
        return -(-rank // 2) if self.packing == "pairs" else rank

    def blocks(self, part: Part) -> int:
        """G: ciphertexts of a part's intermediate result."""
        return -(-self.rows_of(part) // part.ranks)

    def stacked(self, part: Part) -> int:
        """Rows side by side, of all lanes."""
        return part.ranks * len(part.members)

    def outputs(self, part: Part) -> int:
        """L: ciphertexts of a part's results."""
        return -(-self.shape.updates[part.members[0]].rows // (self.positions // len(part.members)))

    def products(self, part: Part) -> int:
        """Products with plaintexts, each of which is a plaintext of the weights."""
        return self.blocks(part) * (self.stacked(part) * self.inputs + part.ranks * self.outputs(part))

    @property
    def plaintexts(self) -> int:
        """Plaintexts of the weights."""
        return sum(map(self.products, self.parts))

    @property
    def results(self) -> int:
        """Ciphertexts that are returned."""
        return sum(map(self.outputs, self.parts))

    @property
    def steps(self) -> frozenset[int]:
        """Rotations, each of which needs a Galois key."""
        found: set[int] = set()
        for part in self.parts:
            turn, stacked = self.side, self.stacked(part)
            found.update(_steps(turn, stacked, direct=part.direct))
            found.update(_steps(turn * len(part.members), part.ranks, direct=part.direct))
            for stage in doubling.stages(self.positions // stacked, part.radix):
                found.update(multiple * stacked * turn for multiple in stage.multiples)
        return frozenset(found)

    def calls(self, primes: int = ASSUMED_PRIMES, *, parts: bool = True) -> Calls:
        """Primitives of an evaluation, with those of reading and saving, by formula; ``parts``, with key switches in
        their parts, as compiled kernels do them."""
        calls: Calls = Counter()
        for part in self.parts:
            calls += self._calls(part, primes)
        if not parts:
            calls["rotate", primes] += calls["key_product", primes]
            for name in KEY_SWITCH:
                del calls[name, primes]
        calls["request_read", primes] += 1
        calls["request_save", primes] += 1
        calls["load_input", primes] += self.inputs
        calls["save_part" if self.packing == "pairs" else "save_ciphertext", primes] += self.results
        return calls

    def _calls(self, part: Part, primes: int) -> Calls:
        calls: Counter[str] = Counter()
        stacked, blocks, views = self.stacked(part), self.blocks(part), part.ranks
        stages = doubling.stages(self.positions // stacked, part.radix)
        switches = stacked - 1
        copies = sum(stage.additions for stage in stages)
        calls["decompose"] = blocks * (switches + len(stages) + (min(views - 1, 1) if part.direct else views - 1))
        calls["key_product"] = blocks * (switches + copies + views - 1)
        calls["mod_down"] = blocks * ((min(switches, 1) if part.direct else switches) + len(stages) + views - 1)
        calls["add_inplace"] = blocks * (switches + copies)
        calls["dot"] = blocks * stacked + self.outputs(part)
        calls["dot_product"] = self.products(part)
        calls["dot_operand"] = self.inputs * -(-blocks * stacked // SUMS_TOGETHER)
        calls["dot_operand"] += blocks * part.ranks * -(-self.outputs(part) // SUMS_TOGETHER)
        return Counter({(name, primes): count for name, count in calls.items()})

    def client_calls(self, primes: int = ASSUMED_PRIMES) -> Calls:
        """Primitives of the client for a request, by formula; without numpy's, which pack x and put y together."""
        calls: Calls = Counter()
        calls["request_encrypt", primes] += 1
        calls["request_decrypt", primes] += 1
        tokens = self.packing == "tokens"
        for call, once in slot_calls("send_complex" if tokens else "send_real", self.slots, primes).items():
            calls[call] += once * self.inputs
        calls["receive_part" if self.packing == "pairs" else "receive", primes] += self.results
        # a lane of a result is an output of its own, and so is each of two tokens that share a slot
        lanes = sum(self.outputs(part) * len(part.members) for part in self.parts)
        calls["collect", self.slots] += lanes * (2 if tokens else 1)
        return calls

    def seconds(self, profile: Profile, primes: int = ASSUMED_PRIMES) -> float:
        """The server's time for a request, by formula."""
        return total(self.calls(primes, parts=bool(profile.kernels)), 2 * self.slots, profile)

    def request_seconds(self, profile: Profile, primes: int = ASSUMED_PRIMES) -> float:
        """The time of a whole request, by formula: the server's and the client's."""
        return self.seconds(profile, primes) + total(self.client_calls(primes), 2 * self.slots, profile)


def _steps(turn: int, count: int, *, direct: bool) -> set[int]:
    if count < 2:
        return set()
    return {turn * multiple for multiple in range(1, count)} if direct else {turn}
