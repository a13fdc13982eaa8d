"""What the functions of a module say, as a hash: bytes that one module made are not for one with other bodies.

The hash is of the syntax trees without docstrings, so that comments and layout do not matter, nor Python's version.
"""

from __future__ import annotations

import ast
import hashlib
import linecache
import sys
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any


def bodies_hash(functions: Iterable[Callable[..., Any]]) -> str:
    """SHA-256 of what these functions say."""
    digest = hashlib.sha256()
    for function in functions:
        text = _text(function)
        digest.update(b"%d " % len(text) + text)
    return digest.hexdigest()


def _text(function: Any) -> bytes:
    code = getattr(function, "__code__", None)
    if code is None:
        # a class or a function of C, such as ``dict``
        return f"{function.__module__}.{function.__qualname__}".encode()
    lines = linecache.getlines(code.co_filename, getattr(function, "__globals__", None))
    node = _definitions("".join(lines)).get((code.co_name, code.co_firstlineno))
    if node is not None:
        return node
    # no source, or several lambdas in a line: the code itself, which depends on Python's version
    constants = [c.co_code if hasattr(c, "co_code") else c for c in code.co_consts]
    return repr((sys.implementation.cache_tag, code.co_code, constants, code.co_names, code.co_varnames)).encode()


@lru_cache(maxsize=16)
def _definitions(text: str) -> dict[tuple[str, int], bytes]:
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return {}
    return {(node.name, node.lineno): _dump(node) for node in tree.body if isinstance(node, ast.FunctionDef)}


def _dump(node: ast.FunctionDef) -> bytes:
    if ast.get_docstring(node, clean=False) is not None:
        node.body = node.body[1:]
    return _plain(node).encode()


def _plain(value: Any) -> str:
    """A syntax tree as text; what is empty or None is left out, as new versions of Python add such fields."""
    if isinstance(value, ast.AST):
        fields = [f"{name}={_plain(field)}" for name, field in ast.iter_fields(value) if field not in (None, [])]
        return f"{type(value).__name__}({', '.join(fields)})"
    if isinstance(value, list):
        return f"[{', '.join(map(_plain, value))}]"
    return f"{type(value).__name__}:{value!r}"
