"""The module that a text defines, in this process: of texts that were just emitted, and of no others."""

from __future__ import annotations

import hashlib
import linecache
from typing import Any

from slotlang_runtime.module import Module


def load_module(text: str, name: str = "lowered") -> Module:
    """The module that a text defines, which was just emitted: its code is executed."""
    namespace: dict[str, Any] = {"__name__": name}
    file = f"<{name} {hashlib.sha256(text.encode()).hexdigest()[:16]}>"
    # tracebacks show its lines, and the labels of its bytes are made of them
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    exec(compile(text, file, "exec"), namespace)
    module: Module = namespace["MODULE"]
    return module
