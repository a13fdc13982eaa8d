"""The LoRA updates of a model from a service: ``attach(model, session)``.

Of the model this needs what torch's and PEFT's modules have: ``named_modules()``, and ``forward``. torch itself is not
imported. The model's own LoRA matrices are not needed at the client: attach to the base model.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, TypeAlias

import numpy as np

from slotlang.client.adapter import Adapter, Group
from slotlang.client.tokens import numpy_of
from slotlang.diagnostics import error


class Updates(Protocol):
    """What ``attach`` needs of a session."""

    def adapter(self) -> Adapter:
        """The adapter, with its modules."""

    def updates(
        self, modules: list[str], x: Any, *, ranks: Mapping[str, Sequence[int] | None] | None = None
    ) -> dict[str, Any]:
        """The updates of several modules that read the same x. ``ranks``: those that are on, by module."""


Gating: TypeAlias = Callable[[str, Any], "Sequence[int] | None"]
"""The ranks that are on, of a module's name and its x; None: all."""


@dataclass
class _Known:
    """The updates of a group for the x that came last: its modules are called one after the other, with the same x."""

    x: Any = None
    found: dict[str, Any] = field(default_factory=dict)


class Attached:
    """A model whose target modules add updates from a service. ``detach``, or the end of a ``with``, undoes it."""

    def __init__(self, session: Updates, members: Mapping[int, list[str]], gate: Gating | None = None) -> None:
        self.session, self.gate = session, gate
        self._members = members
        self._known: dict[int, _Known] = {number: _Known() for number in members}
        self._restored: list[Callable[[], None]] = []
        self._lock = threading.Lock()

    def update(self, group: Group, name: str, x: Any) -> Any:
        """A module's update of x. Those of its whole group are asked for at once, and kept until each was given."""
        with self._lock:
            known = self._known[group.number]
            if name not in known.found or not _same(known.x, x):
                members = self._members[group.number]
                gate, more = self.gate, dict[str, Any]()
                if gate is not None:
                    more["ranks"] = {member: gate(member, x) for member in members}
                found = self.session.updates(members, x, **more)
                # a copy: the caller may change x in place
                known.x, known.found = np.array(numpy_of(x)), found
            return known.found.pop(name)

    def detach(self) -> None:
        """Give the modules their own ``forward`` back."""
        while self._restored:
            self._restored.pop()()

    def __enter__(self) -> Attached:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.detach()


def attach(
    model: Any, session: Updates, modules: Iterable[str] | None = None, *, gate: Gating | None = None
) -> Attached:
    """Add the updates of a session's adapter to a model: each target module gives ``forward(x) + update(x)``.

    Modules are found by their names, which may have a prefix in the model. ``modules``: some of the adapter's; all if
    left out. ``gate(name, x)``: the ranks of a module that are on for this x, None for all; asked once for each x that
    the modules of a group read. The service sees them, and so what they say of x. Raises ``SlotError`` SL583 when one
    is not in the model or has other sizes; then nothing is changed. The model must not add the same LoRA updates
    itself.
    """
    adapter = session.adapter()
    wanted = list(adapter.places) if modules is None else list(modules)
    inside = dict(model.named_modules())
    places = {name: adapter.place(name) for name in wanted}
    targets = {name: _found(name, inside) for name in wanted}
    for name, module in targets.items():
        _, update = places[name]
        weight = getattr(getattr(module, "base_layer", module), "weight", None)
        shape = tuple(getattr(weight, "shape", ()))
        if shape and sorted(shape) != sorted((update.rows, update.columns)):
            message = f"{name} is {shape[0]} x {shape[-1]} in the model, and {update.rows} x {update.columns} served"
            raise error("SL583", message)
        if getattr(module, "lora_A", None) and not getattr(module, "disable_adapters", False):
            hint = "attach to the base model, or call model.disable_adapter_layers() first"
            raise error("SL583", f"{name} has a LoRA update of its own, which would be added too", hint=hint)
    members: dict[int, list[str]] = {}
    for name, (group, _) in places.items():
        members.setdefault(group.number, []).append(name)
    attached = Attached(session, members, gate)
    for name, module in targets.items():
        attached._restored.append(_wrapped(attached, places[name][0], name, module))
    return attached


def _found(name: str, inside: Mapping[str, Any]) -> Any:
    ends = [path for path in inside if path == name or path.endswith(f".{name}")]
    if name in ends:
        return inside[name]
    if len(ends) != 1:
        what = "is not in the model" if not ends else f"is in the model {len(ends)} times: {', '.join(ends[:3])}"
        raise error("SL583", f"the module {name} {what}")
    return inside[ends[0]]


def _wrapped(attached: Attached, group: Group, name: str, module: Any) -> Callable[[], None]:
    """Replace a module's ``forward``; what undoes it."""
    had, before = "forward" in vars(module), module.forward

    def forward(x: Any, *arguments: Any, **named: Any) -> Any:
        return before(x, *arguments, **named) + attached.update(group, name, x)

    module.forward = forward

    def undo() -> None:
        if had:
            module.forward = before
        else:
            del module.forward

    return undo


def _same(known: Any, x: Any) -> bool:
    return known is not None and np.array_equal(known, numpy_of(x))
