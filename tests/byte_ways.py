"""What the runtime does to bytes, with compiled kernels and as where there are none."""

from __future__ import annotations

from types import ModuleType

import pytest

from slotlang_runtime.kernels.library import kernels
from slotlang_runtime.kernels.unavailable import Unavailable

WAYS = ("kernels", "numpy")


def taken(way: str, module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have a module go this way; skip where there are no kernels."""
    if way == "numpy":
        monkeypatch.setattr(module, "byte_kernels", lambda: None)
    else:
        try:
            kernels("bytes")
        except Unavailable as reason:
            pytest.skip(str(reason))
    return way
