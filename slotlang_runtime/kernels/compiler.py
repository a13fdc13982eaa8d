"""Kernels compiled to object code: numba writes them in LLVM's language, and llvmlite makes code for a processor."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llvmlite import binding

from slotlang_runtime.kernels.entry import Entry
from slotlang_runtime.kernels.processor import Processor

if TYPE_CHECKING:
    from slotlang_runtime.kernels.arithmetic import Arithmetic

PREFIX = "slotlang_"
"""Before the names of kernels in object code."""

_MANGLED = re.compile(r"_ZN[\w.$]+")


def sources(kind: str, processor: Processor) -> dict[str, Any]:
    """The kernels of a kind, by name, as functions of numba."""
    if kind in ("doubles", "words", "ifma45", "ifma50"):
        from slotlang_runtime.kernels import compacting, products, switching

        o = arithmetic_of(kind, processor)
        return switching.kernels(o) | products.kernels(o) | compacting.kernels(o)
    if kind == "bytes":
        from slotlang_runtime.kernels import bits

        return bits.kernels(processor.avx512)
    if kind == "digits":
        from slotlang_runtime.kernels import digits

        return digits.kernels()
    if kind == "team":
        from slotlang_runtime.kernels import sharing

        return sharing.kernels()
    raise ValueError(f"there are no kernels of kind {kind!r}")


def arithmetic_of(kind: str, processor: Processor) -> Arithmetic:
    """How kernels of a kind compute. Raises ValueError where the processor can't."""
    from slotlang_runtime.kernels import doubles, ifma, words

    if kind in ("ifma45", "ifma50"):
        if not processor.ifma:
            raise ValueError(f"the processor has no kernels of kind {kind!r}")
        return ifma.ifma(kind == "ifma45")
    if kind == "doubles":
        return doubles.doubles(processor.avx512)
    return words.words(processor.avx512, processor.ifma)


def texts(kind: str, processor: Processor) -> dict[Entry, str]:
    """Each kernel of a kind in LLVM's language, as numba writes it. Every function but the kernel is kept inside."""
    made = {}
    for name, function in sources(kind, processor).items():
        split = getattr(function, "split", 0)
        made[Entry(name, split or len(function.signatures[0]), split > 0)] = _text(name, function)
    return made


def _text(name: str, function: Any) -> str:
    (signature,) = function.signatures
    entry = function.overloads[signature].fndesc.llvm_func_name
    module = binding.parse_assembly(function.inspect_llvm(signature))
    for inside in module.functions:
        if inside.name == entry:
            inside.name = PREFIX + name
        elif not inside.is_declaration:
            inside.linkage = "internal"
        elif not inside.name.startswith("llvm."):
            raise ValueError(f"the kernel {name} calls {inside.name}, which object code can't bring with it")
    # numba's names are long, and count what the process has compiled
    short: dict[str, str] = {}
    return _MANGLED.sub(lambda found: short.setdefault(found[0], f"inside{len(short)}"), str(module))


def objects(texts: Mapping[Entry, str], processor: Processor) -> dict[Entry, bytes]:
    """Object code of each kernel."""
    machine = machine_of(processor)
    return {entry: _object(text, machine) for entry, text in texts.items()}


def _object(text: str, machine: Any) -> bytes:
    module = binding.parse_assembly(text)
    module.triple = machine.triple
    module.verify()
    return bytes(machine.emit_object(module))


def machine_of(processor: Processor) -> Any:
    """LLVM's code generator for a processor."""
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    target = binding.Target.from_default_triple()
    return target.create_target_machine(cpu=processor.name, features=processor.features, opt=3, jit=True)


def loaded(code: Mapping[Entry, bytes], processor: Processor) -> tuple[Any, dict[Entry, int]]:
    """Object code put into memory: what owns it, and the kernels' addresses."""
    engine = binding.create_mcjit_compiler(binding.parse_assembly(""), machine_of(processor))
    for data in code.values():
        engine.add_object_file(binding.ObjectFileRef.from_data(data))
    engine.finalize_object()
    return engine, {entry: int(engine.get_function_address(PREFIX + entry.name)) for entry in code}
