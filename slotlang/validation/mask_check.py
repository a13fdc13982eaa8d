"""That what is sent shows the key holder the results and nothing else, as far as a module says that it hides it.

The runtime masks by itself, from three things: which slots and parts of each result are read (``Module.read``, from the
unpacking functions), ``hide`` and ``doubled``, and ``mask_bits`` of each family. The last three can't be edited. So it
remains to show, of the *final* value of each ciphertext that is sent, by its normal form and whatever the steps are
that made it:

- What is read is a result. Every slot that is read, duplicates included, is compared with the element that it becomes
  (``check``), so reading more slots to leave them without a mask shows nothing that is not a result.
- Where one part of the numbers is read, the runtime sends half of c0, which tells nothing of the other part, whatever
  is there. No form is asked for.
- In slots that are not read of a part that is read elsewhere, the runtime adds masks of ``mask_bits``, made for the
  program's own values; so these must be the program's, or zero.
- Without ``mask_bits`` nothing is added there: the form must be zero.
- Of a family in ``doubled`` the other part is not masked: it must be zero.
- Of a ciphertext of which nothing is read nothing is masked: it must be zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from slotlang.validation.normal_form import Form, Forms
from slotlang_runtime.module import Module, Name


def part_of(forms: Forms, form: Form, part: str | None) -> Form:
    """Twice the real part of a form, twice its imaginary part times i, or the form itself."""
    if part is None:
        return form
    total = dict(form)
    forms.accumulate(total, forms.conjugated(form), 1 if part == "re" else -1)
    return total


def unhidden(
    module: Module, forms: Forms, sent: Mapping[Name, Form], expected: Callable[[Name], Form], *, merging: bool
) -> str | None:
    """Why a ciphertext that is sent is not shown to hide what is not a result; None when all are.

    ``sent``: the forms of what is sent, by name. ``expected``: what the program says that a ciphertext holds.
    """
    if module.parameters.hide == "none":
        return None
    for name, read in module.read.items():
        problem = _unhidden(module, forms, name, sent[name], read, expected, merging)
        if problem is not None:
            return f"{name[0]}{list(name[1:]) if name[1:] else ''} is sent {problem}"
    return None


def _unhidden(
    module: Module,
    forms: Forms,
    name: Name,
    form: Form,
    read: npt.NDArray[np.bool_],
    expected: Callable[[Name], Form],
    merging: bool,
) -> str | None:
    everywhere = np.ones(module.slots, bool)
    is_read: Any = read.any(axis=1)
    if not form:
        return None
    if not is_read.any():
        return "although nothing of it is read, and not masked"
    if not is_read.all() and name[0] in module.parameters.doubled:
        other = "im" if is_read[0] else "re"
        if not forms.equal_on(part_of(forms, form, other), {}, everywhere, merging=merging):
            return "without a mask, and the part of it that is not read is not shown to be zero"
    masked = module.sent[name[0]].mask_bits > 0
    for part, slots in zip(("re", "im"), read, strict=True):
        open_ = ~slots
        if not (slots.any() and open_.any()):
            continue
        if not (forms.support(form) & open_).any():
            continue
        mine = part_of(forms, form, part)
        # whether the products of plaintexts are zero there shows when they are multiplied out
        if forms.equal_on(mine, {}, open_, merging=merging or not masked):
            continue
        if not masked:
            return "without a mask, and the slots of it that no output reads are not shown to be zero"
        if not forms.same(form, wanted := expected(name)):
            if not forms.equal_on(mine, part_of(forms, wanted, part), open_, merging=merging):
                return (
                    "with other values than the program's in slots that no output reads, and masks there are made for "
                    "the program's"
                )
    return None
