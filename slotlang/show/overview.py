"""Every family of a program at a glance."""

from __future__ import annotations

from dataclasses import dataclass

from slotlang.meaning.program import Claim, Program
from slotlang.show.content import claim_text, contents, definition_text

__all__ = ["FamilyRow", "overview"]

MAX_SLOTS_COMPARED = 1 << 16
MAX_FOLLOWED = 20_000
"""Members that are followed to their definitions for all rows together, about: a second or two. What families that read
each other many times in a row hold is told of the first ones."""


@dataclass(frozen=True, slots=True)
class FamilyRow:
    """One family. ``members``: how many vectors; ``ciphertexts``: how many of them are encrypted.
    ``distinct`` and ``empty`` are those of the first member, None where a slot's sum is too long to be
    multiplied out, or too many members were followed for it and the rows above; they rest on ``claims`` where there
    are any."""

    family: str
    kind: str
    binders: tuple[tuple[str, int], ...]
    members: int
    ciphertexts: int
    definition: str
    claims: tuple[tuple[int, str], ...]
    distinct: int | None
    empty: int | None

    def to_json(self) -> dict[str, object]:
        """Plain data: the fields by name."""
        return {
            "family": self.family,
            "kind": self.kind,
            "binders": [{"name": name, "extent": extent} for name, extent in self.binders],
            "members": self.members,
            "ciphertexts": self.ciphertexts,
            "definition": self.definition,
            "claims": [{"line": line, "text": text} for line, text in self.claims],
            "distinct": self.distinct,
            "empty": self.empty,
        }


def overview(program: Program) -> list[FamilyRow]:
    """The families in the program's order."""
    rows = []
    left = MAX_FOLLOWED
    for family in program.families.values():
        members = family.size
        repetition = None
        if program.slots <= MAX_SLOTS_COMPARED:
            held = contents(program, family.name, compare=False, most=max(1, left))
            left -= held.describer.named.followed
            repetition = held.repetition
        claims = [s for s in program.steps if isinstance(s, Claim) and s.family == family.name]
        rows.append(
            FamilyRow(
                family.name,
                family.kind,
                tuple((b.name, b.size) for b in family.binders),
                members,
                0 if family.kind == "plain" else members,
                definition_text(program, family),
                tuple((c.span.line, claim_text(program, c)) for c in claims),
                None if repetition is None else repetition.distinct,
                None if repetition is None else repetition.empty,
            )
        )
    return rows
