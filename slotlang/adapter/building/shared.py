"""Which modules of an adapter read the same input: by a table of architectures, or by a file."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from slotlang.adapter.adapter import LoraModule
from slotlang.adapter.building.layout import GroupShape, Update
from slotlang.adapter.messages import first_line, listed, read_file, shown
from slotlang.diagnostics import Diagnostic, closest, error
from slotlang_runtime.amounts import count_of

MAX_BYTES: Final = 1 << 20
"""Of a file of shared inputs."""

SHARED: Final[tuple[tuple[str, ...], ...]] = (
    # Llama, Qwen, Mistral, Gemma, Mixtral, Phi, OPT, BART, Whisper
    ("q_proj", "k_proj", "v_proj"),
    ("gate_proj", "up_proj"),
    # an expert of Mixtral
    ("w1", "w3"),
    # BERT, RoBERTa, ViT; DistilBERT; T5
    ("query", "key", "value"),
    ("q_lin", "k_lin", "v_lin"),
    ("q", "k", "v"),
    ("wi_0", "wi_1"),
)
"""Last names of modules of one parent that read one input. GPT-2 has q, k and v in one module, ``c_attn``, and shares
nothing."""

CROSS: Final = ("encoder_attn", "EncDecAttention", "crossattention", "cross_attn", "cross_attention", "attn2")
"""Attentions whose queries read the decoder, and whose keys and values read the encoder."""

_QUERIES: Final = ("q_proj", "query", "q_lin", "q")


@dataclass(frozen=True)
class Group:
    """Modules that read one input, in a fixed order. ``input``: which activations these are, as text."""

    input: str
    modules: tuple[LoraModule, ...]

    def shape(self, tokens: int) -> GroupShape:
        """What a program for them computes."""
        return GroupShape(self.modules[0].d_in, tokens, tuple(Update(m.d_out, m.rank) for m in self.modules))


def read_table(path: Path) -> tuple[tuple[str, ...], ...]:
    """The table of a file: a JSON list of lists of names, each the end of a module's path below a common parent.
    Raises SL553."""
    fail = partial(error, "SL553", file=str(path))
    hint = 'for example [["q_proj", "k_proj", "v_proj"], ["gate_proj", "up_proj"]]'
    try:
        table = json.loads(read_file(path, MAX_BYTES, "SL553"))
    except (ValueError, RecursionError) as problem:
        raise fail("the file of shared inputs is not JSON", notes=[first_line(problem)], hint=hint) from None
    if not isinstance(table, list) or not all(
        isinstance(names, list) and len(names) > 1 and all(isinstance(n, str) and n for n in names) for names in table
    ):
        raise fail("a file of shared inputs is a list of lists of two names or more", hint=hint)
    for names in table:
        for name in names:
            if sum(other.count(name) for other in table) > 1:
                raise fail(f"{shown(name)} stands twice in the file of shared inputs", hint="a module reads one input")
    return tuple(tuple(names) for names in table)


def groups(
    modules: Iterable[LoraModule], table: tuple[tuple[str, ...], ...] | None = None, file: str = ""
) -> tuple[list[Group], list[Diagnostic]]:
    """The groups of modules, in the modules' order, and warnings (SL553) for lists of a ``table`` from a ``file`` of
    which no two modules are there. Without a table, ``SHARED`` holds.

    Raises SL553 where a table says that modules of different width read one input.
    """
    found = list(modules)
    own = SHARED if table is None else table
    together: dict[tuple[str, int, int], dict[str, LoraModule]] = defaultdict(dict)
    places: dict[str, tuple[str, int, int]] = {}
    for module in found:
        match = next(((n, name) for n, names in enumerate(own) for name in names if _ends(module.name, name)), None)
        if match is None:
            continue
        number, name = match
        parent = module.name.removesuffix(name).removesuffix(".")
        side = int(table is None and name in _QUERIES and any(part in CROSS for part in parent.split(".")[-2:]))
        places[module.name] = parent, number, side
        together[parent, number, side][name] = module
    for (parent, number, _), named in together.items():
        widths = sorted({module.d_in for module in named.values()})
        if len(widths) > 1 and table is not None:
            notes = [
                f"{name} of {shown(parent)} reads {count_of(module.d_in, 'channel')}" for name, module in named.items()
            ]
            what = f"{listed(own[number])} do not read one input"
            raise error("SL553", what, notes=notes, hint="leave out the list", file=file)
        if len(widths) > 1:
            for module in named.values():
                del places[module.name]
    made, done = [], set()
    for module in found:
        place = places.get(module.name)
        if place is None:
            made.append(_alone(module))
        elif place not in done:
            done.add(place)
            named, order = together[place], own[place[1]]
            members = tuple(named[name] for name in order if name in named)
            made.append(Group(f"{place[0] or module.name}#in", members) if len(members) > 1 else _alone(module))
    return _distinct(made), _unmatched(table, together, found, file)


def _alone(module: LoraModule) -> Group:
    return Group(f"{module.name}#in", (module,))


def _distinct(made: list[Group]) -> list[Group]:
    """Two inputs of one parent have two names."""
    names = [group.input for group in made]
    return [
        group if names.count(group.input) == 1 else Group(f"{group.modules[0].name}#in", group.modules)
        for group in made
    ]


def _ends(path: str, name: str) -> bool:
    return path == name or path.endswith(f".{name}")


def _unmatched(
    table: tuple[tuple[str, ...], ...] | None,
    together: Mapping[tuple[str, int, int], Mapping[str, LoraModule]],
    modules: Iterable[LoraModule],
    file: str,
) -> list[Diagnostic]:
    used = {number for (_, number, _), named in together.items() if len(named) > 1}
    last = sorted({module.name.rpartition(".")[2] for module in modules})
    return [
        Diagnostic(
            "SL553",
            f"no two modules of one parent are {listed(names)}, and the list changes nothing",
            hint=closest(names[0], last) or f"the modules' last names are {listed(last, 8)}",
            file=file,
        )
        for number, names in enumerate(table or ())
        if number not in used
    ]
