"""The puzzles: what each teaches, what its goal is, what may be changed, and hints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from slotlang.source import Source
from slotlang.syntax import tree
from slotlang.syntax.parser import parse
from slotlang_runtime.amounts import count_of

Count = Literal["rotations", "galois_keys", "depth", "ciphertexts_out"]
"""What a goal limits: names of counts, as in ``cost --json``."""

_NOUNS: Mapping[Count, tuple[str, str]] = {
    "rotations": ("rotation", ""),
    "galois_keys": ("Galois key", ""),
    "depth": ("product", " in a row"),
    "ciphertexts_out": ("ciphertext", " down"),
}
"""Each with what follows it."""


def count_text(count: Count, number: int) -> str:
    """``3 rotations``."""
    noun, rest = _NOUNS[count]
    return count_of(number, noun) + rest


@dataclass(frozen=True)
class Puzzle:
    """A program with a goal.

    ``section``: of docs/tutorial.md, by its heading. ``yours``: names of statements that may be changed or left
    out, ``claim S`` of a claim about S; all others are frozen. ``limits``: the largest counts. ``every_size``: the
    proof is asked for all sizes. ``hints``: by what is missing: ``refuted``, ``unknown`` (neither proved nor refuted)
    or the count over its limit.
    """

    name: str
    teaches: str
    section: str
    yours: frozenset[str]
    hints: Mapping[str, str]
    limits: Mapping[Count, int] = field(default_factory=dict)
    every_size: bool = False

    @property
    def link(self) -> str:
        """The tutorial's section, as a link from the root of the repository."""
        words = "".join(c for c in self.section.lower() if c.isalnum() or c == " ")
        return f"docs/tutorial.md#{words.replace(' ', '-')}"

    @property
    def goal(self) -> str:
        """``prove it, with at most 3 rotations``."""
        what = "prove it for every size" if self.every_size else "prove it"
        limits = [count_text(count, most) for count, most in self.limits.items()]
        return f"{what}, with at most {' and '.join(limits)}" if limits else what

    @cached_property
    def text(self) -> str:
        """The program as it is given."""
        return (Path(__file__).parent / f"{self.name}.slot").read_text(encoding="utf-8")

    @cached_property
    def syntax(self) -> tree.Program:
        """Its tree."""
        return parse(Source(f"{self.name}.slot", self.text))


PUZZLES = (
    Puzzle(
        "layout",
        "what a client puts into slots, and how a result is read back",
        "1. Say what the slots hold",
        frozenset({"X"}),
        {
            "refuted": "read the output first: slot (h, t) of X[c] is taken for element (h*K + c, t). So that is what "
            "the client has to pack there.",
        },
    ),
    Puzzle(
        "score",
        "only rotations move channels, and doubling needs few of them",
        "4. Move the channels",
        frozenset({"S"}),
        {
            "refuted": "P adds ciphertexts slot by slot, so no channel has left its slot yet. P << f*batch brings "
            "channel h + f to channel h. What is the sum of that over all f < C?",
            "rotations": "C copies one after the other take C - 1 rotations. P plus P rotated by half of the channels, "
            "then that plus itself rotated by a quarter, and so on, takes log2(C): `sum f < C by doubling: ...`",
        },
        {"rotations": 3},
    ),
    Puzzle(
        "direction",
        "which rank a rotation brings to a slot, and how a claim finds the wrong step",
        "3. Say what you mean",
        frozenset({"W", "V", "T", "Y"}),
        {
            "refuted": "follow one rank. Slot h of P[q] has rank (h + q) % r. Which slot of P[q] has rank h % r, and "
            "does << or >> bring that slot to slot h? Then the same for S: which rank does slot h of S << q*batch "
            "hold? V needs that column of A.",
        },
    ),
    Puzzle(
        "ranks",
        "diagonals: all ranks in one ciphertext",
        "5. All ranks in one ciphertext",
        frozenset({"W", "P", "S", "claim S", "y"}),
        {
            "refuted": "with row (h - q) % r of B in slot h, slot h + q of P[q] has rank h % r. So P[q] has to be "
            "rotated by q channels to the left before the diagonals are added. A claim about the sum shows whether "
            "it is right.",
            "rotations": "each rank adds its channels up by itself, which takes log2(C) rotations for each. Put all "
            "ranks into one ciphertext, rank h % r in slot h: r - 1 rotations in equal steps align r diagonals, `by "
            "horner`, and the C/r blocks of channels are added up once.",
            "ciphertexts_out": "a ciphertext has room for every rank: slot h can carry rank h, where h < r.",
        },
        {"rotations": 4, "ciphertexts_out": 1},
    ),
    Puzzle(
        "keys",
        "each direction and distance of a rotation needs a Galois key",
        "5. All ranks in one ciphertext",
        frozenset({"W", "P", "T", "V", "Y"}),
        {
            "refuted": "where T turns the other way, slot h of P[q] needs another rank: the sign in the row of B "
            "belongs to the direction of the rotation.",
            "galois_keys": "`slotlang cost FILE --json` lists the steps: T turns to the right and Y to the left, and "
            "each has a key of its own. Let both turn the same way, and change the diagonals of W to match.",
            "rotations": "`by horner` and `by doubling` take few rotations by few different steps: keep them.",
        },
        {"galois_keys": 2, "rotations": 7},
    ),
    Puzzle(
        "levels",
        "what a plaintext can hold, so that no ciphertext is multiplied for it",
        "2. A first attempt",
        frozenset({"M", "R", "V", "Z", "G", "Y"}),
        {
            "refuted": "each Y[c] is the sum, over the ranks, of B @ x in that rank times the column of A with that "
            "rank. Which ciphertext has rank i in slot h?",
            "depth": "the server knows masks and scalars before any ciphertext comes, and products of plaintexts cost "
            "nothing: `scale` can stand in V. And is the mask needed? S[i] holds rank i in every slot, so S[i] can "
            "meet column i of A where it is.",
        },
        {"depth": 2},
    ),
    Puzzle(
        "sizes",
        "one proof for every size, by a claim about every step",
        "9. For every size",
        frozenset(),
        {
            "unknown": "S[k] is made from S[k - 1], so the proof is an induction, and what it is about has to be said: "
            "`claim S[k] == sum j < 2**k: ...`. S[1] holds x[h] + x[h - 1]. Which channels does S[k] hold?",
            "refuted": "write down what S[1] and S[2] hold in slot h: >> brings what stood in slot h - 1. At slot 0 it "
            "goes around the end, which % n says.",
        },
        every_size=True,
    ),
    Puzzle(
        "pairs",
        "two ranks in each complex slot",
        "6. Real sizes",
        frozenset({"W", "P", "T", "S", "claim S", "V", "Y", "y"}),
        {
            "refuted": "say what S holds: `claim S == (B @ x)[h % R, t] + 1i * (B @ x)[h % R + R, t]`. Is that proved? "
            "Then look at the last product: the real part of (a + 1i*b) * (c - 1i*d) is a*c + b*d, and `re Y[c]` "
            "reads it.",
            "rotations": "a slot holds a complex number, and W may be complex: rank i in its real part and rank i + R "
            "in its imaginary part, with R = r/2. All that was done for r ranks is then done for R.",
        },
        {"rotations": 19},
    ),
)
"""In the order in which they build on each other."""


def puzzle_named(name: str) -> Puzzle | None:
    """The puzzle of this name; None where there is none."""
    return next((puzzle for puzzle in PUZZLES if puzzle.name == name), None)
