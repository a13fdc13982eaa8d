"""Helpers every test can use."""

from __future__ import annotations

import json
import os
import signal
import tempfile
from pathlib import Path

import pytest
from repository import ROOT

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # as in whatever a shell starts in the background; processes that tests start would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


_KEPT = ("SLOTLANG_UPDATE_GOLDEN", "SLOTLANG_MOMENTS")
_OUTPUT = (
    *("FORCE_COLOR", "NO_COLOR", "PY_COLORS", "CLICOLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE", "TTY_INTERACTIVE"),
    *("GITHUB_ACTIONS", "COLUMNS", "LINES", "TERMINAL_WIDTH", "PYTHONWARNINGS", "PYTHONDEVMODE"),
)
for _name in list(os.environ):
    # what colours output or sets its width: rich reads it when it is imported, and so do processes that tests start
    if _name in _OUTPUT or (_name.startswith("SLOTLANG_") and _name not in _KEPT):
        del os.environ[_name]
os.environ["TERM"] = "dumb"


@pytest.fixture
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session", autouse=True)
def shipped_times() -> object:
    """The times that ship with the package, as if measured here: output does not depend on the machine or its user."""
    from slotlang.cost.profile import Machine, shipped_profile, this_machine

    values = json.loads(shipped_profile().read_text(encoding="utf-8"))
    here = this_machine()
    values["machine"] = {name: getattr(here, name) for name in Machine.__slots__}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "profile.json"
        path.write_text(json.dumps(values), encoding="utf-8")
        os.environ["SLOTLANG_PROFILE"] = str(path)
        yield path
        del os.environ["SLOTLANG_PROFILE"]
