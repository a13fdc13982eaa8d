"""The rule that folds a sum of more diagonals than a matrix has rows (Gazelle, Juvekar et al. 2018)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from math import isqrt

from slotlang.meaning.bind import bind
from slotlang.optimize.blocks import Blocks, Unmovable, scaled, without_families
from slotlang.optimize.nested import joined_steps
from slotlang.optimize.rewriting import (
    Put,
    Rewrite,
    Subject,
    binary,
    claim_of,
    divided,
    fresh,
    inlined,
    member,
    name,
    negated,
    nowhere,
    number,
    places,
    read,
    shift_of,
    shifted,
    step_of,
)
from slotlang.syntax import tree
from slotlang.syntax.walk import names, nodes
from slotlang_runtime.amounts import count_of

NO_DIAGONALS = "no sum rotates ciphertexts by its index times a step"
MEMBERS = 64
"""Members of a family that are asked how many results are read from them."""


def folded(subject: Subject) -> Iterator[Rewrite]:
    """``sum q < n: (X << q*step) * D[q]``, of which only m rows are wanted, as m diagonals and a fold.

    The index is split, q = r*m + s, and the rotation by r*m*step is taken out of the sum over s. What is wanted of that
    sum, for one r, then stands in the r-th block of m*step slots. So one ciphertext holds the sums of every r, each
    in its block: it takes the plaintexts of the block's own diagonals. Rotate-and-add brings the blocks together: m
    rotations and about log2(n/m), in place of n. How many rows are wanted is guessed; the proof decides.
    """
    return (found for found in _tried(subject) if isinstance(found, Rewrite))


def why_not_folded(subject: Subject) -> str:
    """Why the rule proposes nothing: what is missing of the sum that has most of what it takes."""
    misses = [found for found in _tried(subject) if isinstance(found, _Miss)]
    return max(misses, key=lambda miss: miss.stage, default=_Miss(0, NO_DIAGONALS)).what


@dataclass(frozen=True)
class _Miss:
    """What a sum lacks. ``stage`` grows with what it has."""

    stage: int
    what: str


def _tried(subject: Subject) -> Iterator[Rewrite | _Miss]:
    for family in subject.families.values():
        if family.kind == "compute":
            for part, put in _sums(subject, family):
                for binder in part.binders:
                    found = _diagonals(subject, part, binder)
                    where = f"the sum over {binder.name} in {family.name}"
                    if isinstance(found, _Miss):
                        yield replace(found, what=f"{found.what}: {where}") if found.stage else found
                    else:
                        yield from _folds(family, put, found, where)


def _sums(subject: Subject, family: tree.Define) -> Iterator[tuple[tree.Sum, Put]]:
    """The sums in a family, and those that baby and giant steps are."""
    for part, put in places(family.body):
        if isinstance(part, tree.Sum):
            one = joined_steps(subject, part) if len(part.binders) == 1 else None
            if one is not None:
                yield one, put
            yield part, put


def _folds(family: tree.Define, put: Put, found: _Diagonals, where: str) -> Iterator[Rewrite | _Miss]:
    results = _results(found.subject, family)
    layouts = list(found.layouts(results))
    if not layouts:
        why = "no tensor has a smaller extent"
        if results is not None:
            why = f"fewer do not hold {count_of(results, 'result')}"
        yield _Miss(2, f"{where} has {count_of(found.count, 'diagonal')}, and {why}")
    for blocks in layouts:
        try:
            yield from _rewrites(family, put, found, blocks)
        except Unmovable as problem:
            yield _Miss(3, f"{problem}: {where}")


def _results(subject: Subject, family: tree.Define) -> int | None:
    """The most slots of a member that results are read from; None where none are read from the family itself."""
    program = subject.program
    if not any(isinstance(s, tree.Output) and family.name in names(s.value) for s in program.statements):
        return None
    bound = bind(program, {size.name: subject.sizes[size.name] for size in program.header.sizes})
    return max(
        int(bound.read_slots(output, env).sum())
        for output in bound.outputs
        if output.family.name == family.name
        for env in islice(output.envs(), MEMBERS)
    )


@dataclass(frozen=True)
class _Diagonals:
    """A sum with ``count`` terms in which ciphertexts are rotated by the index times ``step``, that is ``width`` slots,
    to the left or the right."""

    subject: Subject
    part: tree.Sum
    binder: tree.Binder
    count: int
    step: tree.Expr
    width: int
    right: bool

    def layouts(self, results: int | None) -> Iterator[Blocks]:
        """Blocks of every number of rows that may do, each once, and of the next number that divides the number of
        diagonals."""
        done = set()
        for rows, size in self._sizes(results):
            for height in (size, _next_divisor(self.count, size)):
                blocks = -(-self.count // height)
                used = blocks * height * self.width
                if height in done or height >= self.count or used > self.subject.slots:
                    continue
                if results is None or results <= self.subject.slots // blocks:
                    done.add(height)
                    kept = rows if height == size else number(height, self.part)
                    found = Blocks(self.subject, kept, self.step, height, self.width, blocks, self.right)
                    if found.once or not self.right:
                        yield found
                    if not (found.once or self.right):
                        yield replace(found, alike=False)

    def _sizes(self, results: int | None) -> Iterator[tuple[tree.Expr, int]]:
        """Numbers that may be the number of rows: that of the results where it is known, or else the extents of
        tensors, those of weights first."""
        declared = [s for s in self.subject.program.statements if isinstance(s, tree.Declare)]
        weights_first = sorted(declared, key=lambda s: s.kind != "weight")
        found = [e for s in weights_first for t in s.tensors for e in t.shape]
        sizes = [(e, size) for e in found if (size := self.subject.value(e))]
        if results is None:
            yield from sizes
            return
        rows = -(-results // self.width)
        sizes += [(name(n, self.part), size) for n, size in self.subject.sizes.items()]
        yield next((e for e, size in sizes if size == rows), number(rows, self.part)), rows


def _next_divisor(n: int, size: int) -> int:
    """The least divisor of n that is at least as large as a size; n where the size is larger than n."""
    return next((d for d in range(size, n) if n % d == 0), n)


def _diagonals(subject: Subject, part: tree.Sum, binder: tree.Binder) -> _Diagonals | _Miss:
    count = subject.value(binder.extent)
    turns = [turn for p in nodes(part.body) if (turn := shift_of(p)) is not None]
    changing = [e for _, amount in turns if (e := divided(amount, frozenset({binder.name}))[0]) is not None]
    if count is None or not changing:
        return _Miss(0, NO_DIAGONALS)
    own = [p for p, _ in places(part.body) if binder.name in names(p) and shift_of(p) is None]
    if not any(subject.is_plain(p) or read(p) for p in own):
        # a sum of rotations of one vector is better added up by doubling
        return _Miss(1, "no plaintext depends on the index")
    right, step = _step(changing[0], binder.name)
    width = None if step is None else subject.value(step)
    if step is None or not width or width < 0:
        return _Miss(1, "rotations are not by the index times a number of slots")
    return _Diagonals(subject, part, binder, count, step, width, right)


def _step(amount: tree.Expr, index: str) -> tuple[bool, tree.Expr | None]:
    """Whether an amount of rotation is negative, and ``k`` of ``index*k``; None where it is not of that form."""
    match amount:
        case tree.Unary("-", operand):
            return True, step_of(operand, index)
        case _:
            return False, step_of(amount, index)


def _rewrites(family: tree.Define, put: Put, found: _Diagonals, blocks: Blocks) -> Iterator[Rewrite]:
    subject, part, binder, here = found.subject, found.part, found.binder, nowhere(found.part.span)
    folding = _Folding(found, blocks)
    body = folding.term(part.body)
    kept = replace(binder, extent=blocks.rows)
    variable = fresh(subject.program, "fgijk")
    far = scaled(name(variable, part), blocks.rows, found.step)
    whole = blocks.count * blocks.height == found.count
    count = binary("/", binder.extent, blocks.rows) if whole else number(blocks.count, part)
    outer = (tree.Binder(variable, count, here),)
    what = (
        f"the sum over {binder.name} in {family.name} folded, {count_of(blocks.height, 'diagonal')} for {found.count}"
    )
    rest = tuple(b for b in part.binders if b != binder)
    if any(binder.name in names(b.extent) for b in rest):
        raise Unmovable("how far another index runs depends on the sum's index")
    if rest:
        body = tree.Sum(rest, None, body, here)
    for text, how in _hows(subject, blocks.height, part):
        inner = tree.Sum((kept,), how, body, here)
        turn = negated(far) if found.right else far
        new = tree.Sum(outer, tree.How("doubling", None, here), shifted(inner, turn), here)
        changed = replace(family, body=put(new))
        program = subject.put(changed, *folding.replaced, before=family.name, new=tuple(folding.added))
        yield Rewrite("fold", what + text, program)
        everywhere = [s for s in program.statements if claim_of(s) == family.name and _unconditional(s)]
        if everywhere:
            rest_of = tuple(s for s in program.statements if s not in everywhere)
            yield Rewrite(
                "fold", f"{what}{text}, without the claim about all slots", replace(program, statements=rest_of)
            )


def _unconditional(s: tree.Statement) -> bool:
    return isinstance(s, tree.Claim) and s.where is None


def _hows(subject: Subject, rows: int, part: tree.Sum) -> Iterator[tuple[str, tree.How | None]]:
    """Some ways to evaluate the sum that is left; the rule about evaluation has the others."""
    yield "", None
    if rows > 2:
        steps = isqrt(rows - 1) + 1
        here = nowhere(part.span)
        yield f" by bsgs({steps})", tree.How("bsgs", number(steps, part), here)
        if subject.few_keys:
            yield " by horner", tree.How("horner", None, here)


@dataclass
class _Folding:
    """The terms of a sum for the index and the place of each block, and the plaintexts that they take."""

    found: _Diagonals
    blocks: Blocks
    replaced: list[tree.Define] = field(default_factory=list)
    added: list[tree.Define] = field(default_factory=list)
    names: dict[tuple[str, int], str] = field(default_factory=dict)
    """What plaintext families are called when folded, by the place of the index."""

    @property
    def index(self) -> str:
        """The sum's variable."""
        return self.found.binder.name

    def term(self, e: tree.Expr) -> tree.Expr:
        """A part of a term. Raises ``Unmovable``."""
        subject = self.found.subject
        if subject.is_plain(e):
            return self._plain(e)
        turn = shift_of(e)
        if turn is not None:
            changing = divided(turn[1], frozenset({self.index}))[0]
            right, step = (False, None) if changing is None else _step(changing, self.index)
            width = None if step is None or right != self.found.right else subject.value(step)
            if self.index in names(turn[0]) or width != self.found.width:
                raise Unmovable("not all rotations are of vectors that stay the same, by the same step")
            return e
        match e:
            case tree.Binary("*" | "+" | "-"):
                return replace(e, left=self.term(e.left), right=self.term(e.right), span=nowhere(e.span))
            case tree.Unary("-" | "conj", operand):
                return replace(e, operand=self.term(operand), span=nowhere(e.span))
            case tree.Sum(binders, _, body) if not self._depends(binders):
                return replace(e, body=self.term(body), span=nowhere(e.span))
        part = read(e)
        inner = subject.families.get(part[0]) if part else None
        if inner is None or inner.kind != "compute" or self.index not in names(e):
            raise Unmovable("a ciphertext in the sum is not rotated by the sum's index")
        return self.term(inlined(e, inner))

    def _depends(self, binders: tuple[tree.Binder, ...]) -> bool:
        """Whether binders have the sum's variable, or an extent that depends on it."""
        return any(b.name == self.index or self.index in names(b.extent) for b in binders)

    def _plain(self, e: tree.Expr) -> tree.Expr:
        if isinstance(e, tree.Binary) and e.op in ("*", "+", "-"):
            return replace(e, left=self._plain(e.left), right=self._plain(e.right), span=nowhere(e.span))
        subject, part = self.found.subject, read(e)
        family = subject.families.get(part[0]) if part else None
        own = [n for n, i in enumerate(part[1]) if self.index in names(i)] if part else []
        if family is None or part is None or len(own) != 1 or part[1][own[0]] != name(self.index, e):
            return self._moved(without_families(subject, e), self.index)
        if (family.name, own[0]) not in self.names:
            self._add(family, own[0])
        return member(self.names[family.name, own[0]], part[1], e)

    def _add(self, family: tree.Define, place: int) -> None:
        """The family with the diagonals of each block, in its own place where nothing else reads it."""
        subject, own = self.found.subject, family.binders[place]
        body = self._moved(without_families(subject, family.body), own.name)
        kept = replace(own, extent=self.blocks.rows)
        binders = (*family.binders[:place], kept, *family.binders[place + 1 :])
        new = replace(family, binders=binders, body=body)
        reads = [p for p in nodes(subject.program.statements) if isinstance(p, tree.Name) and p.name == family.name]
        if len(reads) > 1 or family.name not in names(self.found.part):
            taken = {*self.names.values()}
            new = replace(new, name=fresh(subject.program, "DGEW", taken), span=nowhere(family.span))
            self.added.append(new)
        else:
            self.replaced.append(new)
        self.names[family.name, place] = new.name

    def _moved(self, e: tree.Expr, index: str) -> tree.Expr:
        new = self.blocks.at(e, index)
        if self.blocks.count * self.blocks.height == self.found.count or index not in names(e):
            return new
        return self.blocks.guarded(new, index, self.found.binder.extent)
