"""The rules, in the order in which they are tried, and what each says where it finds nothing to rewrite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from slotlang.optimize.client_rules import packed_by_client, why_not_packed
from slotlang.optimize.families import same, unused, written_out
from slotlang.optimize.folding import folded, why_not_folded
from slotlang.optimize.nested import nested
from slotlang.optimize.packing import ranks_packed
from slotlang.optimize.permutations import permutations_moved
from slotlang.optimize.rank_pairing import ranks_paired, why_not_paired
from slotlang.optimize.rewriting import Rewrite, Subject
from slotlang.optimize.sums import evaluation, joined, rotations_moved, taken_out


@dataclass(frozen=True, slots=True)
class Rule:
    """``propose`` makes rewrites, named as the rule. ``missing`` says, for a program that it makes none for, what such
    a program lacks. ``enabling``: its programs are rewritten further even where they only cost no more than the program
    before. ``guesses``: its proposals are seldom true, and refuted ones say nothing about a program."""

    name: str
    propose: Callable[[Subject], Iterator[Rewrite]]
    missing: str | Callable[[Subject], str]
    enabling: bool = False
    guesses: bool = False

    def why_not(self, subject: Subject) -> str:
        """Why the rule proposes nothing for a program."""
        return self.missing if isinstance(self.missing, str) else self.missing(subject)


UNUSED = Rule("unused", unused, "every family is needed for a result")
"""Tried once, first, whatever it saves."""

RULES: tuple[tuple[Rule, ...], ...] = (
    (
        Rule("packing", packed_by_client, why_not_packed),
        Rule("same", same, "no computed family has as many members as an earlier one", guesses=True),
        Rule(
            "joined",
            joined,
            "no rotation of a rotation or by whole turns, no conj conj, no permutation of its own inverse",
        ),
    ),
    (
        Rule("ranks packed", ranks_packed, "no family of sums by doubling over all slots is added up with weights"),
        Rule("fold", folded, why_not_folded, guesses=True),
        Rule("ranks paired", ranks_paired, why_not_paired),
    ),
    (
        Rule("evaluation", evaluation, "no sum of two or more terms that is not by doubling already"),
        Rule(
            "distributivity",
            taken_out,
            "no rotation or factor is the same in all terms of a sum",
            enabling=True,
        ),
        Rule(
            "nested sums",
            nested,
            "no sums in or beside each other, of several variables, or by doubling with a better split",
            enabling=True,
        ),
    ),
    (
        Rule("rotations", rotations_moved, "no product with a rotation, and no rotation of one", enabling=True),
        Rule("permutations", permutations_moved, "no sum or product of permuted vectors", enabling=True),
    ),
    (Rule("written out", written_out, "no computed family that another reads", enabling=True),),
)
"""Rules by how much they change; those of a group are tried when the groups before it have nothing more to offer."""

BY_NAME = {rule.name: rule for rule in (UNUSED, *(rule for group in RULES for rule in group))}
"""All rules."""
