"""The plan of a program: its graph under parameters, with the keys, the hiding and the kernel."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import ceil, exp2, log2
from typing import Literal, TypeAlias

from slotlang.cost.counts import Counts, count
from slotlang.cost.data import UNIT, DataPowers, given_sizes
from slotlang.cost.held_squares import largest_squares
from slotlang.cost.matrix import MatrixForm, matrix_form
from slotlang.cost.noise import MASK_MARGIN, Gains
from slotlang.cost.predict import Prediction, predict
from slotlang.cost.profile import Profile
from slotlang.cost.promise import Promise, plan_gains, promised
from slotlang.cost.variances import Contents
from slotlang.diagnostics import error
from slotlang.graph.graph import Graph, Member
from slotlang.graph.key_levels import KeyLevels, key_levels
from slotlang.graph.unroll import unroll
from slotlang.meaning.program import Program
from slotlang.planning.hiding import Hiding, check_room, hiding, with_all_room, with_conjugates
from slotlang.planning.limits import assumed_values, message_bits
from slotlang.planning.messages import Messages, State
from slotlang.planning.parameters import MAX_MESSAGE_BITS, Parameters, check_scales, check_security
from slotlang.planning.ranges import MARGIN, Range, nominal_messages, range_of
from slotlang.planning.target import Hide, Kernel, KernelChoice, Target, Wire
from slotlang.planning.unread import with_zeros
from slotlang.planning.zeros import same_plaintexts, zero_plaintexts
from slotlang.refusals import GaveUp
from slotlang.schedule.build import schedule
from slotlang.schedule.composed_rotations import routes
from slotlang.schedule.fusion import apart
from slotlang.schedule.ops import Schedule
from slotlang_runtime.amounts import count_of

Origin: TypeAlias = Literal["given", "program", "search", "fixed"]
"""Where parameters come from: whoever asked for the plan, the program's own statement, the search for a precision, or
the fixed choice."""


def origin_text(origin: Origin, own: bool) -> str:
    """Where parameters come from; empty where nobody had a say. ``own``: the program names parameters."""
    match origin:
        case "program":
            return " (the program's own)"
        case "given":
            return " (given, in place of the program's own)" if own else " (given)"
        case "search" if own:
            return " (searched, in place of the program's own)"
        case _:
            return ""


@dataclass(frozen=True)
class Plan:
    """A program's graph under parameters: what would be executed. ``hiding``: what is hidden in its results.
    ``matrix``: the graph as matrices, or why it has no such form. ``kernel``: what multiplies. ``origin``: where the
    parameters come from. ``data``: what errors are predicted for; ``wanted``: the precision that was asked for.
    ``wire``: what is exchanged; bytes are those of this wire. ``standalone``: for a standalone module."""

    program: Program
    graph: Graph
    parameters: Parameters
    counts: Counts
    hiding: Hiding
    matrix: MatrixForm | GaveUp
    kernel: Kernel
    origin: Origin = "given"
    data: DataPowers = field(default=UNIT, repr=False, compare=False)
    wanted: float | None = None
    wire: Wire = "slotlang"
    standalone: bool = False

    def __repr__(self) -> str:
        return f"<Plan {self.program.name}: {self.parameters.text()}, {count_of(len(self.graph.nodes), 'node')}>"

    @property
    def used(self) -> str:
        """The parameters, with where they come from as far as the program or the user had a say."""
        return self.parameters.text() + origin_text(self.origin, self.program.chosen_parameters is not None)

    @cached_property
    def range(self) -> Range:
        """The range theorem, where the program is proved."""
        return range_of(self.graph, self.hiding, self.parameters)

    @cached_property
    def unproved_range(self) -> Range:
        """The range theorem, whether or not the program is proved."""
        found = range_of(self.graph, self.hiding, self.parameters, proved=False) if self.range.proved else self.range
        return (
            found
            if found.status != "refuted"
            else self.range.given_up("a proof of the results bounds them: lower has it")
        )

    @cached_property
    def gains(self) -> Gains:
        """How noise grows, for the plan's data."""
        return plan_gains(self)

    @cached_property
    def promise(self) -> Promise:
        """What is promised of the results' errors."""
        sizes = given_sizes(self.program, self.data)
        return promised(self.gains, self.parameters, list(self.program.theorems), self.data.assumed, sizes, self.wanted)

    @cached_property
    def key_levels(self) -> KeyLevels:
        """The keys, and the first level that each is made for: at which it is used, and the top for SEAL's."""
        found = key_levels(self.graph)
        return found.whole() if self.wire == "seal" else found

    @property
    def galois_key_bytes(self) -> int:
        """Bytes of the Galois keys in memory."""
        return self.parameters.keys_bytes(self.key_levels.galois)

    @property
    def switching_key_bytes(self) -> int:
        """Bytes of all key-switching keys in memory."""
        return self.parameters.keys_bytes(self.key_levels.switching)

    @property
    def evaluation_key_bytes(self) -> int:
        """Bytes of all key-switching keys as sent, without headers; SEAL's objects hold words."""
        if self.wire == "seal":
            return self.switching_key_bytes // 2
        return self.parameters.sent_keys_bytes(self.key_levels.switching)

    @property
    def upload_bytes(self) -> int:
        """Bytes of the inputs as sent, without headers."""
        p = self.parameters
        return self.counts.ciphertexts_in * (
            p.ciphertext_bytes() // 2 if self.wire == "seal" else p.sent_bytes(seeded=True)
        )

    @property
    def weight_bytes(self) -> int:
        """Bytes of the encoded weights in memory; with the matrix kernel, of the coefficients."""
        if self.kernel == "matrix" and isinstance(self.matrix, MatrixForm):
            return self.matrix.weight_bytes
        return sum(self.parameters.plaintext_bytes(level) for _, level in self.graph.plaintexts())

    @property
    def download_bytes(self) -> int:
        """Bytes of the results as sent, without headers."""
        p, halves = self.parameters, self.hiding.halves
        results = self.graph.results().items()
        if self.wire == "seal":
            return sum(p.ciphertext_bytes(level) for _, level in results)
        return sum(p.result_bytes(level, halved=member in halves) for member, level in results)

    def predicted(self, profile: Profile) -> Prediction:
        """Predicted times, with the plan's kernel."""
        p, form = self.parameters, self.matrix if self.kernel == "matrix" else None
        matrix = form.seconds(p.degree, p.data_primes, profile) if isinstance(form, MatrixForm) else None
        compiled = self.kernel == "compiled"
        priced = profile.of_primes(p.primes)
        cut = any(any(p.cut_at(level)) for level in self.graph.results().values())
        return predict(self.graph, p.degree, p.data_primes, priced, self.hiding, matrix, compiled=compiled, cut=cut)


@dataclass(frozen=True)
class Draft:
    """A program's schedule and graph before parameters are chosen: all that rescale alike and have the same keys share
    one. ``doubled``, ``zero``, ``whole`` and ``doubles`` as in ``Hiding``. ``known``: what is hidden, and ``zeros``:
    which plaintexts are zero, where another draft has found that; ``shared``: its ``contents``."""

    program: Program
    hide: Hide
    built: Schedule = field(repr=False)
    doubled: frozenset[str]
    zero: frozenset[str]
    known: Hiding | None = field(default=None, repr=False)
    data: DataPowers = field(default=UNIT, repr=False)
    whole: bool = False
    doubles: bool = False
    zeros: Callable[[Member], bool] | None = field(default=None, repr=False, compare=False)
    shared: Contents | None = field(default=None, repr=False, compare=False)

    @classmethod
    def meeting(
        cls, target: Target, program: Program, drops: Sequence[int] = (), share: float = 1.0, results: int = 0
    ) -> Draft:
        """As ``of``, with what a target has hidden and sent. Modules hold no weights, so where masks do not take all
        the room there is (``with_all_room``), they do not follow the weights that are known: ``check`` emits them anew.
        """
        data = UNIT if target.doubles else target.data
        made = cls.of(program, target.hide, drops, share, results, data)
        return replace(made, whole=target.standalone, doubles=target.doubles)

    @classmethod
    def of(
        cls,
        program: Program,
        hide: Hide,
        drops: Sequence[int] = (),
        share: float = 1.0,
        results: int = 0,
        data: DataPowers = UNIT,
    ) -> Draft:
        """With a key for each step; ``drops`` and ``results`` as of ``schedule``, ``share`` as of ``with_zeros``;
        ``data``: the weights that are known, for the sizes of masks.
        Raises SL401 to SL404 (a sum or permutation can't be lowered, results can't drop primes), and the graph, when it
        is first asked for, SL309 (too large)."""
        if hide == "none":
            return cls(program, hide, schedule(program, drops, results), frozenset(), frozenset(), data=data)
        returned, zero = with_zeros(program, share)
        doubled: frozenset[str] = frozenset()
        if hide == "exact":
            outputs = returned.outputs
            returned, doubled = with_conjugates(returned)
            names = {old.family.name: new.family.name for old, new in zip(outputs, returned.outputs, strict=True)}
            zero = frozenset(names[name] for name in zero)
        return cls(program, hide, schedule(returned, drops, results), doubled, zero, data=data)

    def dropping(self, drops: Sequence[int], results: int = 0) -> Draft:
        """The same with primes dropped after these products, and of results: which slots are zero does not depend on
        them."""
        built = schedule(self.built.program, drops, results)
        if not same_plaintexts(built, self.built):
            return replace(self, built=built, known=None, zeros=None, shared=None)
        return replace(self, built=built, known=None, zeros=self._zeros, shared=self.contents)

    def keyed(self, keys: tuple[int, ...]) -> Draft:
        """The same with Galois keys for these steps only, and all others composed of them; with ``()`` as it is. Raises
        SL408 where that can't be."""
        if not keys:
            return self
        slots = self.program.slots
        wanted = {node.step for node in self.graph.of_kind("rotate")}
        found = None if not all(0 < k < slots for k in keys) else routes(wanted, keys, slots)
        if found is None:
            raise error(
                "SL408",
                f"keys for rotations by {', '.join(map(str, keys))} do not make all rotations of '{self.program.name}'",
                self.program.span,
                notes=[f"it rotates {count_of(slots, 'slot')} by {', '.join(map(str, sorted(wanted)))}"],
            )
        # results hold the same whatever the keys are
        routed = replace(
            self, built=replace(self.built, routes=found), known=self.hiding, zeros=self._zeros, shared=self.contents
        )
        if all(not group.loops for group in self.built.groups):
            return routed
        # rotations of one ciphertext share parts of their routes when they follow each other, and turns come between
        one_by_one = replace(routed, built=apart(routed.built), zeros=None)
        return min(routed, one_by_one, key=lambda draft: draft.counts.rotations)

    @cached_property
    def graph(self) -> Graph:
        """The unrolled graph."""
        return unroll(self.built, self._zeros)

    @cached_property
    def _zeros(self) -> Callable[[Member], bool]:
        return self.zeros or zero_plaintexts(self.built, self.contents.likeness)

    @cached_property
    def contents(self) -> Contents:
        """What plaintexts hold, for the weights that are known and inputs of unit variance."""
        return self.shared or Contents(self.built, self.data.of_unit_inputs())

    @cached_property
    def counts(self) -> Counts:
        """Counts of the graph, without masks."""
        return count(self.graph)

    @cached_property
    def key_levels(self) -> KeyLevels:
        """The keys of the graph, and the first level at which each is used."""
        return key_levels(self.graph)

    @cached_property
    def hiding(self) -> Hiding:
        """What is hidden in results."""
        if self.known is not None:
            return self.known
        found = self._hidden
        if not found.masked:
            return found
        if self._bounded is not None:
            return replace(found, held=found.holding(self._bounded.hidden, self._bounded.whole))
        return replace(found, held=self._assumed({name for name, _ in found.masked}), assumed=True)

    def _assumed(self, names: Collection[str]) -> dict[str, float]:
        """Bounds on what slots of these families hold that are assumed where weights have none: from what they hold on
        average, for the weights that are known and others of unit variance. A power of two of them is all that the
        size of masks tells."""
        peaks = largest_squares(self.graph, self.doubled, self.contents)
        states = {name: self.built.states[name] for name in names}
        squares = {name: max(1.0, peaks.get((state.level, state.pending), 1.0)) for name, state in states.items()}
        return {name: assumed_values(self.program) * exp2(ceil(log2(n) / 2)) for name, n in squares.items()}

    @cached_property
    def _hidden(self) -> Hiding:
        """As ``hiding``, without bounds of what is hidden."""
        found = hiding(self.graph, self.hide, self.doubled, self.zero)
        return replace(found, whole=self.whole, doubles=self.doubles)

    @cached_property
    def _bounded(self) -> Messages | None:
        return nominal_messages(self.graph, self._hidden)

    @property
    def needs(self) -> Mapping[State, float] | None:
        """Bits of modulus above the scale that the range theorem needs, whatever the parameters, for each state in
        which a message is read; None where some weight is not bounded, or the graph is too large."""
        return None if self._bounded is None else self._bounded.needs

    @cached_property
    def mask_rooms(self) -> Mapping[State, float]:
        """Bits of modulus above the scale that masks of slots need, by state of the results."""
        found: dict[State, float] = {}
        for name, bits in self.hiding.bits.items():
            built = self.built.states[name]
            state = built.level, built.pending
            found[state] = max(found.get(state, 0.0), float(bits + MASK_MARGIN))
        return found

    @cached_property
    def message_bits(self) -> float:
        """Bits of modulus left above the scale of a result: within the program's bounds, or by ``message_bits`` where
        some weight has none."""
        bits = message_bits(self.program) if self.needs is None else max([0.0, *self.needs.values()]) + MARGIN
        # what overflows a double fits no modulus
        return min(bits, MAX_MESSAGE_BITS)

    def under(self, parameters: Parameters, kernel: KernelChoice = "auto") -> Plan:
        """The plan with parameters that rescale as this does, and with a kernel.

        Raises ``SlotError`` SL404 (below 128 bits, or too deep), SL405 (another number of slots), SL407 (no room for
        masks), SL472 (a kernel that can't compute it).
        """
        program, built = self.program, self.built
        check_security(parameters)
        if parameters.slots < program.slots or parameters.slots % program.slots:
            raise error(
                "SL405",
                f"degree {parameters.degree} has {count_of(parameters.slots, 'slot')}, "
                f"and the program {program.slots:,}",
                program.span,
            )
        check_scales(parameters, built.depth, multiplies_ciphertexts=built.multiplies_ciphertexts)
        check_room(self.hiding, self.graph, parameters)
        scales = parameters.factor_bits(built.depth)
        matrix = matrix_form(self.graph, parameters.primes[: parameters.data_primes], scales)
        counts = replace(self.counts, masks=self.hiding.masks)
        hidden = with_all_room(self.hiding, self.graph, parameters)
        return Plan(program, self.graph, parameters, counts, hidden, matrix, self.kernel(matrix, kernel))

    def kernel(self, matrix: MatrixForm | GaveUp, choice: KernelChoice) -> Kernel:
        """The kernel that is asked for, or predicted to be the fastest. Raises SL472."""
        match choice:
            case "auto":
                if isinstance(matrix, MatrixForm) and matrix.faster:
                    return "matrix"
                return "compiled"
            case "matrix" if isinstance(matrix, GaveUp):
                problem = f"can't be evaluated by matrix products: {matrix.reason}"
            case _:
                return choice
        raise error(
            "SL472",
            f"'{self.program.name}' {problem}",
            self.program.span,
            hint="leave out --kernel: SEAL's operations evaluate every program",
        )
