"""Kernels in LLVM's language. They come with the package: object code is made of them in a second, and without numba.

``python -m slotlang_runtime.kernels.texts`` (``make kernels``) writes them by numba, for each kind and each variant of
processors. A file names the hash of the source that it was written from. Where that has changed since, it is not used,
and numba writes the kernels again before object code is made.
"""

from __future__ import annotations

import hashlib
import lzma
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from slotlang_runtime.amounts import count_of
from slotlang_runtime.kernels.entry import Entry, packed, unpacked
from slotlang_runtime.kernels.processor import Processor, known

FOLDER = Path(__file__).with_name("written")

SOURCES = (
    "arithmetic",
    "bits",
    "blake",
    "box",
    "compacting",
    "compiler",
    "digits",
    "doubles",
    "entry",
    "ifma",
    "lanes",
    "processor",
    "products",
    "sharing",
    "switching",
    "tables",
    "transforms",
    "words",
)
"""The modules that kernels are written by: where one changes, they are written and compiled again."""

VARIANTS = {
    "words": ("avx2", "avx512", "ifma"),
    "doubles": ("avx2", "avx512"),
    "ifma50": ("ifma",),
    "ifma45": ("ifma",),
    "bytes": ("avx2",),
    "digits": ("avx2",),
    "team": ("avx2",),
}
"""What processors have at least, for each text of a kind."""

_MAGIC = b"slotlang kernels as text 1\n"


def variant(kind: str, here: Processor) -> str:
    """The text of a kind that a processor takes: of those that ask for no more than it has, the one that asks for
    most. Raises KeyError for another kind, ValueError where there is none."""
    has = {"avx2": True, "avx512": here.avx512, "ifma": here.ifma}
    fits = [name for name in VARIANTS[kind] if has[name]]
    if not fits:
        raise ValueError(f"the processor has no kernels of kind {kind!r}")
    return fits[-1]


@cache
def source_digest() -> bytes:
    """SHA-256 of the source of all kernels."""
    digest = hashlib.sha256()
    for path in (Path(__file__).with_name(f"{name}.py") for name in SOURCES):
        digest.update(path.name.encode() + b"\0" + path.read_bytes().replace(b"\r\n", b"\n"))
    return digest.digest()


def stored(kind: str, here: Processor) -> bytes | None:
    """The file of a kind for a processor; None where there is none, or it is of another source."""
    try:
        data = (FOLDER / f"{kind}-{variant(kind, here)}.xz").read_bytes()
    except (KeyError, ValueError, OSError):
        return None
    return data if data.startswith(_MAGIC + source_digest()) else None


def read(data: bytes) -> dict[Entry, str]:
    """The texts of a file."""
    body = lzma.decompress(data[len(_MAGIC) + 32 :])
    return {entry: text.decode() for entry, text in unpacked(body)}


def written(kind: str, here: Processor) -> bytes:
    """The file of a kind for a processor, written by numba."""
    from slotlang_runtime.kernels import compiler

    body = packed({entry: text.encode() for entry, text in compiler.texts(kind, here).items()})
    return _MAGIC + source_digest() + lzma.compress(body, preset=9 | lzma.PRESET_EXTREME)


def processors() -> Iterator[tuple[str, Processor]]:
    """A processor of each variant, as far as LLVM knows: this one need not have what kernels are written for."""
    features = {"avx2": True, "fma": True}
    wider = dict.fromkeys(("avx512f", "avx512dq", "avx512vl"), True)
    for name, more in (("avx2", {}), ("avx512", wider), ("ifma", wider | {"avx512ifma": True})):
        yield name, known("x86-64", features | more)


def main() -> None:
    """Write all files."""
    FOLDER.mkdir(exist_ok=True)
    here = dict(processors())
    for kind, variants in VARIANTS.items():
        for name in variants:
            data = written(kind, here[name])
            (FOLDER / f"{kind}-{name}.xz").write_bytes(data)
            print(f"{kind}, {name}: {count_of(len(data), 'byte')}", flush=True)


if __name__ == "__main__":
    main()
