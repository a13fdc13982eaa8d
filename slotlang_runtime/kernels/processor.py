"""What the processor can do. LLVM ends the process where an instruction is not there, so this is known before."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache

from slotlang_runtime.kernels.unavailable import Unavailable
from slotlang_runtime.parameters import DOUBLE_BITS, LAZY_BITS

VARIABLE = "SLOTLANG_KERNELS"
"""The environment variable that takes less than the processor has: ``avx2``, or ``seal`` for no kernels."""


@dataclass(frozen=True)
class Processor:
    """A processor as LLVM names it, and the features that code may use."""

    name: str
    features: str
    avx512: bool
    ifma: bool

    def kind(self, bits: int) -> str:
        """The kind of kernels for primes of at most so many bits."""
        if bits > DOUBLE_BITS:
            return "words"
        if not self.ifma:
            return "doubles"
        return "ifma45" if bits <= LAZY_BITS else "ifma50"

    @property
    def label(self) -> str:
        """AVX-512 or AVX2."""
        return "AVX-512" if self.avx512 else "AVX2"


def known(name: str, features: dict[str, bool], most: str = "") -> Processor:
    """A processor with these features. ``most``: as VARIABLE says. Raises Unavailable where it has no AVX2 or FMA."""
    if most not in ("", "avx512", "avx2", "seal"):
        raise Unavailable(f"{VARIABLE} is avx512, avx2 or seal, not {most!r}")
    if most == "seal":
        raise Unavailable(f"{VARIABLE} says so")
    missing = [feature for feature in ("avx2", "fma") if not features.get(feature)]
    if missing:
        raise Unavailable(f"the processor has no {' and no '.join(part.upper() for part in missing)}")
    avx512 = all(features.get(feature) for feature in ("avx512f", "avx512dq", "avx512vl"))
    if most == "avx512" and not avx512:
        raise Unavailable(f"{VARIABLE} asks for AVX-512, and the processor has none")
    avx512 = avx512 and most != "avx2"
    kept = {feature: have and (avx512 or not feature.startswith("avx512")) for feature, have in features.items()}
    text = ",".join(f"{'+' if have else '-'}{feature}" for feature, have in sorted(kept.items()))
    return Processor(name, text, avx512, avx512 and bool(features.get("avx512ifma")))


@cache
def processor() -> Processor:
    """This processor. Raises Unavailable where it has no kernels, or llvmlite can't be imported."""
    try:
        from llvmlite import binding
    except ImportError as problem:
        raise Unavailable(f"llvmlite can't be imported: {problem}") from None
    features = dict(binding.get_host_cpu_features())
    return known(binding.get_host_cpu_name(), features, os.environ.get(VARIABLE, ""))
