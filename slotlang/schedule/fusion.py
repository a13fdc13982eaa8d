"""Families computed in turns of one loop, where that keeps fewer ciphertexts alive.

``S[j] = sum c: Q[c] * R[c, j]`` reads of R only the members of its own j. So R need not be complete before S begins:
for each j the members R[c, j] are computed, then S[j], and those of the next j take their place.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import prod

from slotlang.meaning.integers import Int, IntVar, substitute
from slotlang.schedule import ops
from slotlang.schedule.ops import CipherFamily, Group, Loop


def fused(schedule: ops.Schedule, fresh: Callable[[str], str]) -> ops.Schedule:
    """The schedule with families in turns wherever fewer ciphertexts are then alive at once: what gains most first."""
    groups = [Group((), (family,)) for family in schedule.ciphers]
    returned = {output.family.name for output in schedule.outputs}
    while True:
        best, gained = None, 0
        alive = _alive(groups, returned)
        for at, to in _only_readers(groups, returned):
            # names of loops do not matter before one is chosen
            tried = _with_joined(groups, at, to, lambda var: f"{var}'")
            if tried is not None:
                gain = max(alive[at : to + 1]) - max(_alive(tried, returned)[at:to])
                best, gained = ((at, to), gain) if gain > gained else (best, gained)
        chosen = best and _with_joined(groups, *best, fresh)
        if not chosen:
            break
        groups = chosen
    families = tuple(family for group in groups for family in group.families)
    return replace(schedule, groups=tuple(groups), ciphers=families)


def apart(schedule: ops.Schedule) -> ops.Schedule:
    """The schedule with one family after the other."""
    return replace(schedule, groups=tuple(Group((), (family,)) for family in schedule.ciphers))


def _refs(op: ops.Op) -> Iterator[ops.Ref]:
    if isinstance(op, ops.Ref):
        yield op
    for child in ops.children(op):
        yield from _refs(child)


def _reads(group: Group) -> Iterator[ops.Ref]:
    for family in group.families:
        if family.body is not None:
            yield from _refs(family.body)


def _only_readers(groups: Sequence[Group], returned: set[str]) -> Iterator[tuple[int, int]]:
    """Groups of which only one other group reads the last family, with that one; the last groups first."""
    readers: defaultdict[str, set[int]] = defaultdict(set)
    for at, group in enumerate(groups):
        for ref in _reads(group):
            readers[ref.family].add(at)
    for at in range(len(groups) - 1, -1, -1):
        family = groups[at].families[-1]
        if family.body is not None and family.size > 1 and family.name not in returned:
            found = readers[family.name]
            if len(found) == 1 and at not in found:
                yield at, next(iter(found))


def _with_joined(groups: list[Group], at: int, to: int, fresh: Callable[[str], str]) -> list[Group] | None:
    """The groups with one joined to the one that reads it, where that stands."""
    joined = _joined(groups[at], groups[to], fresh)
    return None if joined is None else [*groups[:at], *groups[at + 1 : to], joined, *groups[to + 1 :]]


def _joined(group: Group, reader: Group, fresh: Callable[[str], str]) -> Group | None:
    """A group together with the one that reads its last family; None where no loop says which members that needs."""
    read, last = group.families[-1], reader.families[-1]
    reads = [ref for ref in _reads(reader) if ref.family == read.name]
    # the loops of the reader, each with the one of the family that it goes through in every place where that is read
    through: dict[str, str] = {}
    for loop in reader.loops or last.loops:
        for position, own in enumerate(read.loops):
            alike = own.size == loop.size and all(ref.indices[position] == IntVar(loop.var) for ref in reads)
            if alike and (not group.loops or own in group.loops):
                through.setdefault(loop.var, own.var)
    names = {own: var for var, own in through.items()}
    ladders = [f.body.var for f in reader.families if isinstance(f.body, ops.Ladder)]
    ladders += [names.get(f.body.var, "") for f in group.families if isinstance(f.body, ops.Ladder)]
    loops = _in_order([loop for loop in reader.loops or last.loops if loop.var in through], ladders, last)
    if prod(loop.size for loop in loops) == 1:
        return None
    shared = {loop.var for loop in loops}
    taken = shared | {loop.var for family in reader.families for loop in family.loops}
    names = {own: var for own, var in names.items() if var in shared}
    added = tuple(_named(family, names, taken, fresh) for family in group.families)
    return Group(tuple(loops), (*added, *reader.families))


def _named(family: CipherFamily, names: dict[str, str], taken: set[str], fresh: Callable[[str], str]) -> CipherFamily:
    """The family with new names: of the loops that it shares, and of others where their names are taken."""
    own = dict(names)
    for var in (*(loop.var for loop in family.loops), *_inner_variables(family)):
        if var not in own:
            own[var] = fresh(var) if var in taken else var
    return _renamed(family, own)


def _in_order(loops: Sequence[Loop], ladders: Sequence[str], last: CipherFamily) -> list[Loop]:
    """The loops to share, outermost first. A ladder goes on from the turn before, so its loop is the innermost one. A
    family that reads itself keeps its order."""
    stepping = [loop for loop in loops if loop.var in ladders][:1]
    found = [loop for loop in loops if loop.var not in ladders] + stepping
    if last.body is not None and any(ref.family == last.name for ref in _refs(last.body)):
        same = 0
        while same < len(found) and found[same].var == last.loops[same].var:
            same += 1
        found = found[:same]
    return found


def _inner_variables(family: CipherFamily) -> set[str]:
    """Variables of the sums in a family's body."""

    def inside(op: ops.Op) -> Iterator[str]:
        if isinstance(op, ops.Sum | ops.Horner):
            yield op.loop.var
        for child in ops.children(op):
            yield from inside(child)

    return set() if family.body is None else set(inside(family.body))


def _renamed(family: CipherFamily, names: dict[str, str]) -> CipherFamily:
    """A family with other names of loop variables."""
    if all(name == var for var, name in names.items()) or family.body is None:
        return family
    by: dict[str, Int] = {var: IntVar(name) for var, name in names.items()}

    def indices(values: tuple[Int, ...]) -> tuple[Int, ...]:
        return tuple(substitute(index, by.get) for index in values)

    def loop(of: Loop) -> Loop:
        return replace(of, var=names.get(of.var, of.var))

    def visit(op: ops.Op) -> ops.Op:
        match op:
            case ops.Ref(name, at):
                return ops.Ref(name, indices(at))
            case ops.MulPlain(_, plain) | ops.AddPlain(_, plain):
                op = replace(op, plain=ops.PlainRef(plain.family, indices(plain.indices)))
            case ops.Rotate(_, amount):
                op = replace(op, amount=substitute(amount, by.get))
            case ops.Ladder(_, var):
                op = replace(op, var=names.get(var, var))
            case ops.Sum(over) | ops.Horner(over):
                op = replace(op, loop=loop(over))
            case _:
                pass
        return ops.rebuilt(op, visit)

    return replace(family, loops=tuple(loop(own) for own in family.loops), body=visit(family.body))


def _alive(groups: Sequence[Group], returned: set[str]) -> list[int]:
    """Ciphertexts alive at the end of each group: inputs from the start on, results until the end."""
    end = len(groups)
    last: dict[str, int] = {}
    for at, group in enumerate(groups):
        for ref in _reads(group):
            last[ref.family] = at
    changes: defaultdict[int, int] = defaultdict(int)
    for at, group in enumerate(groups):
        for family in group.families:
            changes[0 if family.body is None else at] += group.held(family)
            changes[(end if family.name in returned else last.get(family.name, at)) + 1] -= group.held(family)
    alive, total = [], 0
    for at in range(end):
        total += changes[at]
        alive.append(total)
    return alive
