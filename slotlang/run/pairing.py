"""An adapter's modules and a program's theorems: which module gives the weights of which result."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slotlang.adapter import Adapter, LoraModule
from slotlang.adapter.messages import listed, plain, shown
from slotlang.diagnostics import closest, error
from slotlang.meaning.program import Program
from slotlang.run.roles import Roles
from slotlang.syntax import tree
from slotlang_runtime.amounts import count_of


@dataclass(frozen=True)
class Pair:
    """A theorem with the module whose update it computes."""

    role: Roles
    module: LoraModule

    def to_json(self) -> dict[str, object]:
        """Plain data."""
        module = self.module
        rule = module.rule.text if module.rule else ""
        return {
            "output": self.role.output,
            "module": module.name,
            "rank": module.rank,
            "scaling": module.scaling,
            "rule": rule,
        }


def pair_modules(roles: Sequence[Roles], adapter: Adapter, wanted: Sequence[str]) -> list[Pair]:
    """A module for each theorem.

    ``wanted`` are the values of --module: ``RESULT=MODULE``, the name of a module, or a path with modules below.
    Several results take the modules whose last names begin as theirs do: yq, yk and yv take q_proj, k_proj and v_proj.
    What is not clear is asked for. Raises SL502, SL524, and a module's refusal."""
    outputs = [role.output for role in roles]
    given: dict[str, LoraModule] = {}
    rest = []
    for item in wanted:
        output, equals, name = item.partition("=")
        if not equals:
            rest.append(item)
            continue
        if output not in outputs:
            hint = closest(output, outputs) or f"results are {listed(outputs)}"
            raise error("SL524", f"--module {shown(item)}: the program has no result {shown(output)}", hint=hint)
        if output in given:
            raise error("SL524", f"--module gives two modules for the result {output}")
        given[output] = adapter.module(name)
    open_ = [role for role in roles if role.output not in given]
    if rest and not open_:
        raise error("SL524", f"--module {shown(rest[0])} is left over: every result has its module")
    if len(roles) == 1 and open_:
        if len(rest) > 1:
            message = f"--module is given {len(rest)} times, and the program has one result"
            raise error("SL524", message, notes=[listed(rest)], hint="run each module by itself")
        given[outputs[0]] = adapter.module(rest[0]) if rest else adapter.only()
    elif open_:
        given |= _by_name(open_, _candidates(adapter, rest), adapter, rest)
    return [Pair(role, given[role.output]) for role in roles]


def _candidates(adapter: Adapter, rest: Sequence[str]) -> list[str]:
    """Paths of the modules that are meant: those named, those below a path that is named, or all."""
    every = [*adapter.modules, *(u.name for u in adapter.unusable)]
    if not rest:
        return every
    found: list[str] = []
    for name in rest:
        parents = {path.rpartition(".")[0] for path in every}
        parents = {p for p in parents if p == name or p.endswith(f".{name}")}
        if not parents:
            found.append(adapter.module(name).name)
        elif len(parents) > 1:
            notes = [f"it could be {listed(sorted(parents))}"]
            raise error(
                "SL502",
                f"{shown(name)} names {count_of(len(parents), 'group')} of modules",
                notes=notes,
                hint="give more",
            )
        else:
            (parent,) = parents
            found += [path for path in every if path.rpartition(".")[0] == parent]
    return list(dict.fromkeys(found))


def _by_name(
    open_: Sequence[Roles], candidates: Sequence[str], adapter: Adapter, rest: Sequence[str]
) -> dict[str, LoraModule]:
    outputs = [role.output for role in open_]
    found: dict[str, LoraModule] = {}
    for output, tag in zip(outputs, _tags(outputs), strict=True):
        hits = [path for path in candidates if _begins_alike(tag, path.rpartition(".")[2])]
        if len(hits) != 1:
            what = "no module has" if not hits else f"{count_of(len(hits), 'module')} have"
            some = "a name that begins as the result's" if not hits else "names that begin as the result's"
            notes = [f"it could be {listed(hits, 6)}" if hits else f"the modules are {listed(candidates, 6)}"]
            assigned = " ".join(f"--module {name}=PATH" for name in outputs)
            hint = f"say which: {assigned}; or the path of one layer, such as --module layers.0.self_attn"
            raise error("SL524", f"{what} {some} {output}", notes=notes, hint=hint, file=str(adapter.path))
        found[output] = adapter.module(hits[0])
    names = [module.name for module in found.values()]
    if len(set(names)) != len(names):
        raise error("SL524", f"two results take one module: {listed(names)}", hint="say which: --module RESULT=PATH")
    unused = [plain(path) for path in candidates if path not in names] if rest else []
    if unused and len(rest) > 1:
        raise error("SL524", f"--module names modules that no result takes: {listed(unused)}", hint="leave them out")
    return found


def _tags(outputs: Sequence[str]) -> list[str]:
    """What tells the results' names apart: q, k and v of yq, yk and yv."""
    if len(outputs) == 1:
        return list(outputs)
    start = _in_common(outputs)
    end = _in_common([name[start:][::-1] for name in outputs])
    tags = [name[start : len(name) - end].strip("_") for name in outputs]
    return tags if all(tags) else list(outputs)


def _in_common(names: Sequence[str]) -> int:
    """How many first characters all names share."""
    first, last = min(names), max(names)
    return next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))


def _begins_alike(tag: str, leaf: str) -> bool:
    return leaf.startswith(tag) or tag.startswith(leaf.partition("_")[0])


def adapter_sizes(syntax: tree.Program, pairs: Iterable[Pair]) -> dict[str, int]:
    """Header sizes that the modules' shapes determine: those that stand alone as a dimension. Raises SL506 where one
    size would have two values."""
    known = {s.name for s in syntax.header.sizes}
    sizes: dict[str, tuple[int, str, Pair]] = {}
    for pair in pairs:
        module = pair.module
        for tensor, shape in ((pair.role.up, module.up.shape), (pair.role.down, module.down.shape)):
            for number, (extent, value) in enumerate(zip(tensor.shape, shape, strict=False)):
                if not isinstance(extent, tree.Name) or extent.name not in known:
                    continue
                place = f"{'rows' if number == 0 else 'columns'} of {tensor.name}"
                before, where, first = sizes.setdefault(extent.name, (int(value), place, pair))
                if before != value:
                    raise _clash(extent.name, tensor, (first, before, where), (pair, int(value), place))
    return {name: value for name, (value, _, _) in sizes.items()}


def _clash(size: str, tensor: tree.Tensor, first: tuple[Pair, int, str], second: tuple[Pair, int, str]) -> Exception:
    one, other = first[0].module, second[0].module
    notes = [f"{size} is the {first[2]} and the {second[2]}; they would be {first[1]} and {second[1]}"]
    hint = f"take a program with two sizes in place of {size}"
    if one is other and {first[1], second[1]} == {one.d_in, one.d_out}:
        message = (
            f"the program is square in {size}, and module {plain(one.name)} is "
            f"not: it takes {count_of(one.d_in, 'channel')} "
        )
        message += f"to {one.d_out}"
        hint += ", such as programs/lora.slot with d_in and d_out"
    elif one is other:
        message = f"module {plain(one.name)} does not fit: the size {size} would have two values"
    else:
        message = f"modules {plain(one.name)} and {plain(other.name)} differ where the program has one size, {size}"
    return error("SL506", message, tensor.span, notes=notes, hint=hint)


def adapter_weights(program: Program, pairs: Sequence[Pair]) -> dict[str, npt.NDArray[np.float64]]:
    """The modules' matrices under the program's names. Raises SL506 when shapes differ.

    A scalar that several theorems share is their modules' scaling where that is one number, and else 1, with the
    scaling in the up-projections.
    """
    weights: dict[str, npt.NDArray[np.float64]] = {}
    scalings: dict[str, set[float]] = {}
    for pair in pairs:
        if pair.role.scalar is not None:
            scalings.setdefault(pair.role.scalar, set()).add(pair.module.scaling)
    for pair in pairs:
        role, module = pair.role, pair.module
        up = module.up
        if role.scalar is None or len(scalings[role.scalar]) > 1:
            up = up * module.scaling
        if role.scalar is not None:
            weights[role.scalar] = np.array(module.scaling if len(scalings[role.scalar]) == 1 else 1.0)
        for tensor, array, what in ((role.up, up, "up-projection"), (role.down, module.down, "down-projection")):
            declared = program.tensors[tensor.name].shape
            if declared != array.shape:
                raise _misfit(tensor, declared, array.shape, what, module)
            weights[tensor.name] = array
    return weights


def _misfit(
    tensor: tree.Tensor, declared: tuple[int, ...], shape: tuple[int, ...], what: str, module: LoraModule
) -> Exception:
    alone = all(isinstance(extent, tree.Name) for extent in tensor.shape)
    shapes = f"d_in = {module.d_in}, d_out = {module.d_out}, rank = {module.rank}"
    return error(
        "SL506",
        f"'{tensor.name}' is {' x '.join(map(str, declared))} in the program, and the module's {what} "
        f"is {' x '.join(map(str, shape))}",
        tensor.span,
        notes=[f"module {plain(module.name)}: {shapes}"],
        hint="leave out --set for these sizes: they follow from the module" if alone else "set the sizes with --set",
    )
