"""The Python API: what the commands do, with typed results. The command line is a thin layer over it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import isfunction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slotlang.arguments import checked
from slotlang.cost.bound_cases import bounds_of
from slotlang.cost.bounds import rotation_lower_bound
from slotlang.cost.counts import rotation_steps
from slotlang.cost.data import DataPowers
from slotlang.cost.predict import Prediction
from slotlang.cost.profile import Profile, find_profile
from slotlang.cost.promise import Promise, predicted_error
from slotlang.cost.report import Cost
from slotlang.diagnostics import Diagnostic, SlotError
from slotlang.emit.fitted import fitted_plan
from slotlang.lower import Lowered, lower
from slotlang.meaning.bind import bind
from slotlang.meaning.outside_bounds import Limit, with_bound_statements, with_bounds
from slotlang.meaning.program import Bound, Program
from slotlang.planning.compact import compact_form
from slotlang.planning.given_parameters import parameters_named, program_parameters
from slotlang.planning.parameters import Parameters
from slotlang.planning.plan import Plan, origin_text
from slotlang.planning.planner import plan
from slotlang.planning.target import Hide, Kernel, Target
from slotlang.proof.check import Report, check
from slotlang.source import Source
from slotlang.syntax import tree
from slotlang.syntax.parser import parse
from slotlang.syntax.program_file import read_program

if TYPE_CHECKING:
    from slotlang.adapter import Adapter
    from slotlang.adapter.building.build import Built as Built
    from slotlang.cost.symbolic.formulas import Formulas as Formulas
    from slotlang.optimize.optimized import Optimized as Optimized
    from slotlang.optimize.search import Objective
    from slotlang.run.session import Session as Session
    from slotlang.search.candidate import Found as Found
    from slotlang.search.candidate import Objective as SearchObjective
    from slotlang.show.compared import Comparison as Comparison
    from slotlang.show.shown import Shown as Shown


def __getattr__(name: str) -> Any:
    # imported when they are first asked for: a run needs tenseal, and what only checks and lowers starts faster
    if name == "Session":
        from slotlang.run.session import Session

        return Session
    if name == "Built":
        from slotlang.adapter.building.build import Built

        return Built
    if name == "Optimized":
        from slotlang.optimize.optimized import Optimized

        return Optimized
    if name == "Found":
        from slotlang.search.candidate import Found

        return Found
    if name == "Formulas":
        from slotlang.cost.symbolic.formulas import Formulas

        return Formulas
    if name == "Comparison":
        from slotlang.show.compared import Comparison

        return Comparison
    if name == "Shown":
        from slotlang.show.shown import Shown

        return Shown
    raise AttributeError(f"module 'slotlang.api' has no attribute {name!r}")


def load(
    path: str | Path, sizes: Mapping[str, int] | None = None, *, bounds: Mapping[str, Limit] | None = None
) -> Program:
    """Read, parse and bind a program file, or the program that ``FILE:name`` means; ``sizes`` override its defaults.

    ``bounds`` of magnitudes take the place of the program's own: ``{"x": 8, "norm(x)": 64}`` as in ``with_bounds``.
    Raises ``SlotError`` with every message when the program is wrong.
    """
    return _bound(parse(read_program(Path(path))), sizes, bounds)


def loads(
    text: str,
    sizes: Mapping[str, int] | None = None,
    name: str = "<string>",
    *,
    bounds: Mapping[str, Limit] | None = None,
) -> Program:
    """``load`` from a text."""
    return _bound(parse(Source(name, text)), sizes, bounds)


def _bound(syntax: tree.Program, sizes: Mapping[str, int] | None, bounds: Mapping[str, Limit] | None) -> Program:
    program = bind(with_bound_statements(syntax, bounds or {}), sizes)
    program_parameters(program)
    return program


def cost(
    program: Program,
    parameters: Parameters | None = None,
    profile: Profile | None = None,
    *,
    target: Target = Target(),
) -> Cost:
    """Count what a program executes, and predict its error, and its times by a profile (without one, by
    ``find_profile``'s). ``parameters`` and ``target`` as in ``fitted_plan``. Raises as these."""
    profile = profile or find_profile()
    made = fitted_plan(program, parameters, target=target, profile=profile)
    p, counts, graph = made.parameters, made.counts, made.graph
    spread = rotation_lower_bound(program)
    compact = compact_form(made, profile)
    return Cost(
        program=program.name,
        sizes={name: program.sizes[name] for name in program.parameters},
        parameters=p.to_json(),
        counts=counts,
        rotation_lower_bound=spread,
        bounds=bounds_of(program, graph, counts, spread),
        galois_key_bytes=made.galois_key_bytes,
        evaluation_key_bytes=made.evaluation_key_bytes,
        upload_bytes=made.upload_bytes,
        download_bytes=made.download_bytes,
        weight_bytes=made.weight_bytes,
        peak_ciphertext_bytes=counts.peak_ciphertexts * p.ciphertext_bytes(),
        compact_weight_bytes=None if compact is None else compact.weight_bytes,
        expanding=None if compact is None else compact.expanding,
        predicted=made.predicted(profile),
        predicted_error=made.promise.relative_error,
        promise=made.promise,
        kernel=made.kernel,
        parameters_from=made.origin,
        parameters_note=origin_text(made.origin, program.chosen_parameters is not None),
        range=made.unproved_range.to_json(),
        range_text=made.unproved_range.line(),
        rotation_steps=rotation_steps(graph),
        composed_rotations=dict(graph.schedule.routes),
    )


def compare(*programs: Program, profile: Profile | None = None, files: Sequence[str] = ()) -> Comparison:
    """The verdicts and the costs of programs of the same shapes, side by side. ``files``: what tells programs of one
    name apart, their numbers if left out. Raises SL009 for programs of other shapes, and as ``cost``."""
    from slotlang.show.compared import Comparison, check_alike

    files = files or [f"{program.name} {number}" for number, program in enumerate(programs, 1)]
    check_alike(programs, files, {})
    profile = profile or find_profile()
    reports = tuple(map(check, programs))
    return Comparison(reports, tuple(cost(program, profile=profile) for program in programs), tuple(files))


def formulas(program: Program, parameters: Parameters | None = None, *, target: Target = Target()) -> Formulas:
    """The counts of ``cost`` as formulas in the program's sizes, derived at the sizes it is bound to, each with the
    conditions under which it holds. ``parameters``, or the program's own, make bytes numbers. Raises SL447 for a
    program without formulas, and SL401 to SL404."""
    from slotlang.planning.formulas import formulas as formulas_of

    return formulas_of(program, parameters or program_parameters(program), hide=target.hide)


def _syntax(
    program: Program | str | Path, sizes: Mapping[str, int] | None
) -> tuple[tree.Program, Mapping[str, int] | None]:
    """A program's tree with the sizes to bind it to: of one that is bound, its own, unless others are given."""
    if isinstance(program, Program):
        own = {name: program.sizes[name] for name in program.parameters}
        return program.syntax, {**own, **(sizes or {})}
    return parse(read_program(Path(program))), sizes


def optimize(
    program: Program | str | Path,
    sizes: Mapping[str, int] | None = None,
    *,
    objective: Objective = "time",
    target: Target = Target(),
    allow_packing: bool = False,
    profile: Profile | None = None,
    progress: Callable[[str, float], None] = lambda what, done: None,
) -> Optimized:
    """Rewrite a program, or a program file, into a cheaper one of the same meaning, proved again. Raises as
    ``optimize_program`` and ``find_profile``."""
    from slotlang.optimize.optimized import optimize_program
    from slotlang.optimize.search import objective_named

    objective_named(objective)
    return optimize_program(
        *_syntax(program, sizes),
        objective,
        profile or find_profile(),
        target=target,
        allow_packing=allow_packing,
        progress=progress,
    )


def run(
    program: Program | str | Path,
    sizes: Mapping[str, int] | None = None,
    *,
    bounds: Mapping[str, Limit] | None = None,
    adapter: str | Path | None = None,
    module: str | Sequence[str] | None = None,
    base_changed: bool = False,
    data: str | Path | None = None,
    activations: str | Path | None = None,
    equalize: str | Path | None = None,
    seed: int = 0,
    parameters: Parameters | None = None,
    target: Target = Target(),
    unproved: bool = False,
    tokens: int | None = None,
    workers: int = 1,
    cache: str | Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Session:
    """Prove, lower and run a program, or a program file, encrypted, on modules of an adapter, the arrays of a
    .npz file, or random ones, and compare with numpy. ``Session.results`` has the results. ``module``,
    ``base_changed``, ``data``, ``equalize``, ``tokens``, ``workers`` and ``cache`` are the command's options
    (docs/running.md); ``parameters`` and ``target`` as in ``plan``, ``bounds`` as in ``load``. Raises ``SlotError`` for
    anything wrong with program, adapter, arrays or cache, and when a worker fails."""
    from slotlang.run.session import run as run_session

    syntax, sizes = _syntax(program, sizes)
    return run_session(
        with_bound_statements(syntax, bounds or {}),
        sizes,
        adapter=None if adapter is None else Path(adapter),
        modules=(module,) if isinstance(module, str) else tuple(module or ()),
        base_changed=base_changed,
        data=None if data is None else Path(data),
        activations_file=None if activations is None else Path(activations),
        equalize=None if equalize is None else Path(equalize),
        seed=seed,
        parameters=parameters,
        target=target,
        unproved=unproved,
        tokens=tokens,
        workers=workers,
        cache=None if cache is None else Path(cache),
        progress=progress,
    )


def synth(
    d_in: int,
    d_out: int,
    rank: int,
    batch: int = 1,
    *,
    precision: float = 1e-3,
    objective: SearchObjective = "time",
    copies: int = 1,
    max_key_bytes: int | None = None,
    max_memory: int | None = None,
    bounds: Mapping[str, Limit] | None = None,
    profile: Profile | None = None,
    progress: Callable[[str, float], None] = lambda what, done: None,
) -> Found:
    """Search the cheapest program for y = scale * A @ B @ x with ``batch`` tokens: ``text`` of the result is the best
    as a program, ``ranked`` and ``pareto`` are all that were proved. ``precision``, ``objective``, ``copies``,
    ``max_key_bytes`` and ``max_memory`` are the command's options (docs/synth.md), ``bounds`` as in ``load``. Raises
    ``SlotError`` SL461 to SL465 for demands that can't be met."""
    from slotlang.search.candidate import Limits, objective_named
    from slotlang.search.report import checked_bounds
    from slotlang.search.search import finalists_for, search, start
    from slotlang.search.structure import Shape

    shape, target = Shape(d_in, d_out, rank, batch), Target(precision=precision, max_key_bytes=max_key_bytes)
    found = start(shape, objective_named(objective), target, Limits(max_memory, copies))
    found.bounds = checked_bounds(bounds or {})
    search(found, profile or find_profile(), progress, finalists=finalists_for(shape))
    return found


def show(program: Program, name: str | None = None, *, width: int = 80) -> Shown:
    """What the slots of a family or a member hold, ``"X"`` or ``"W[2, 5]"``; without a name all families at a glance.
    It prints as text of ``width`` columns and is a picture in a notebook. A refuted program's wrong slots are marked.
    Raises ``SlotError`` SL601 where the program has no such name."""
    from slotlang.show.shown import shown

    return shown(program, name, width)


def fmt(text: str, name: str = "<string>") -> str:
    """The canonical text of a file: ``slotlang fmt``. Raises ``SlotError`` for one that does not parse."""
    from slotlang.syntax.formatter import format_program
    from slotlang.syntax.statements import parse_file

    return format_program(parse_file(Source(name, text)))


def read_adapter(path: str | Path, *, base_changed: bool = False) -> Adapter:
    """The modules of a PEFT adapter's folder, and those that can't be run, with the reason. Raises ``SlotError`` SL501
    to SL521."""
    from slotlang.adapter import read_adapter as read

    return read(Path(path), base_changed=base_changed)


def build_adapter(
    path: str | Path,
    output: str | Path,
    *,
    tokens: int = 8,
    precision: float = 1e-3,
    name: str | None = None,
    modules: Sequence[str] = (),
    activations: Mapping[str, Any] | None = None,
    equalize: bool = False,
    shared_inputs: Sequence[Sequence[str]] | None = None,
    base_changed: bool = False,
    force: bool = False,
    profile: Profile | None = None,
    progress: Callable[[str, float], None] = lambda what, done: None,
) -> Built:
    """Build a whole PEFT adapter into the folder ``output / name`` for a server, or go on where an earlier build
    stopped. ``activations``: samples by the names of modules, tokens x channels; the others are the options of
    ``slotlang adapter build`` (docs/adapters.md). Raises ``SlotError`` SL551 to SL554, SL451 for a precision out of
    reach, and as ``read_adapter``."""
    from slotlang.adapter.building.build import build
    from slotlang.adapter.building.work import Options, checked_name, default_name, prepare

    named = checked_name(default_name(Path(path)) if name is None else name)
    table = None if shared_inputs is None else tuple(tuple(names) for names in shared_inputs)
    samples = {module: np.asarray(given).T for module, given in (activations or {}).items()}
    options = Options(
        tokens,
        precision,
        tuple(modules),
        table,
        activations=samples,
        equalized=equalize,
        base_changed=base_changed,
    )
    work = prepare(Path(path), options, profile or find_profile())
    return build(work, Path(output) / named, named, progress, force=force)


def programs_path() -> Path:
    """The folder of example programs: in the package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    return next(f for f in (package / "programs", package.parent / "programs") if f.is_dir())


__all__ = [
    "Bound",
    "Built",
    "Comparison",
    "Cost",
    "DataPowers",
    "Diagnostic",
    "Formulas",
    "Found",
    "Hide",
    "Kernel",
    "Lowered",
    "Optimized",
    "Parameters",
    "Plan",
    "Prediction",
    "Profile",
    "Program",
    "Promise",
    "Report",
    "Session",
    "Shown",
    "SlotError",
    "Target",
    "build_adapter",
    "check",
    "compare",
    "cost",
    "find_profile",
    "fmt",
    "formulas",
    "load",
    "loads",
    "lower",
    "optimize",
    "parameters_named",
    "plan",
    "predicted_error",
    "programs_path",
    "read_adapter",
    "run",
    "show",
    "synth",
    "with_bounds",
]

_CLASSES = {kind.__name__: kind for kind in (Parameters, Plan, Profile, Program, Target)} | {"Planned": Plan}
for _name in __all__:
    if isfunction(_function := globals().get(_name)):
        globals()[_name] = checked(_function, _CLASSES)
