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
