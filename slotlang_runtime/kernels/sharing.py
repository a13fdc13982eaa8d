"""How threads share the work of one kernel: parts are taken from a box, by whoever is free. Imports numba; only
compilation does.

A box (``box.py``) has five words. ``CLAIM`` holds the number of a call, how many parts it has, and how many of them are
taken; parts are taken by comparing and exchanging this word, so that a thread that read an old one takes nothing.
``FUNCTION`` and ``BLOCK`` are written before it, and not again until all parts are done, which ``DONE`` counts.
``OPEN``: 0 sends helpers away.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils

from slotlang_runtime.kernels.box import BLOCK, CLAIM, DONE, FUNCTION, OPEN
from slotlang_runtime.kernels.lanes import INDEX, WORD, A, N, inlined, kernel, operation


def _pointer(b: Any, address: Any, index: Any) -> Any:
    return b.inttoptr(b.add(address, b.shl(index, WORD(3))), ir.PointerType(WORD))


def _read(b: Any, address: Any, index: Any) -> Any:
    return b.load_atomic(_pointer(b, address, index), "acquire", 8)


def _written(b: Any, address: Any, index: Any, value: Any) -> Any:
    b.store_atomic(value, _pointer(b, address, index), "release", 8)
    return WORD(0)


def _counted(b: Any, address: Any, index: Any) -> Any:
    return b.atomic_rmw("add", _pointer(b, address, index), WORD(1), "acq_rel")


def _exchanged(b: Any, address: Any, index: Any, old: Any, new: Any) -> Any:
    found = b.cmpxchg(_pointer(b, address, index), old, new, "acq_rel", "acquire")
    return b.zext(b.extract_value(found, 1), WORD)


def _waited(b: Any, address: Any) -> Any:
    kind = ir.FunctionType(ir.VoidType(), [])
    b.call(b.module.declare_intrinsic("llvm.x86.sse2.pause", (), kind), [])
    return WORD(0)


def _called(b: Any, function: Any, block: Any, part: Any, parts: Any) -> Any:
    # as numba calls: a place for a result, one for an exception, and the words
    kind = ir.FunctionType(INDEX, [WORD] * 5)
    # once a call of the kernel, and not of each part
    once: Any = cgutils.alloca_once
    room = b.ptrtoint(once(b, ir.ArrayType(WORD, 2)), WORD)
    target = b.inttoptr(function, ir.PointerType(kind))
    b.call(target, [room, b.add(room, WORD(8)), block, part, parts])
    return WORD(0)


def kernels() -> dict[str, Any]:
    """The kernels by name."""
    read = operation(A, (A, N), _read)
    written = operation(A, (A, N, A), _written)
    counted = operation(A, (A, N), _counted)
    exchanged = operation(A, (A, N, A, A), _exchanged)
    waited = operation(A, (A,), _waited)
    called = operation(A, (A, A, A, A), _called)
    claim, function, block, done, opened = CLAIM, FUNCTION, BLOCK, DONE, OPEN

    @inlined
    def took(box: Any) -> Any:
        # do one part, where there is one to take
        found = read(box, claim)
        taken, parts = found & A(0xFF), (found >> A(8)) & A(0xFF)
        if taken >= parts:
            return False
        what, words = read(box, function), read(box, block)
        if exchanged(box, claim, found, found + A(1)):
            called(what, words, taken, parts)
            counted(box, done)
        return True

    @kernel(4)
    def shared(box, what, words, parts):  # type: ignore[no-untyped-def]
        # all parts of a call, with the helpers at the box
        written(box, function, what)
        written(box, block, words)
        written(box, done, A(0))
        number = (read(box, claim) >> A(16)) + A(1)
        written(box, claim, (number << A(16)) | (parts << A(8)))
        while took(box):
            pass
        while read(box, done) < parts:
            waited(box)

    @kernel(2)
    def helped(box, patience):  # type: ignore[no-untyped-def]
        # parts, as long as the box is open, and until there was nothing to do so many times
        idle = A(0)
        while idle < patience and read(box, opened):
            if took(box):
                idle = A(0)
            else:
                idle += A(1)
                waited(box)

    return {"shared": shared, "helped": helped}
