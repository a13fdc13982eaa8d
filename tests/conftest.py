"""Helpers every test can use."""

from __future__ import annotations

import gc
import json
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from repository import ROOT

if TYPE_CHECKING:
    from served import Process

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # as in whatever a shell starts in the background; processes that tests start would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


_KEPT = ("SLOTLANG_UPDATE_GOLDEN", "SLOTLANG_MOMENTS", "SLOTLANG_EXAMPLES")
if "PYTEST_XDIST_WORKER" in os.environ:
    # of the process that started this one: all compile into one folder
    _KEPT += ("SLOTLANG_KERNEL_CACHE",)
_OUTPUT = (
    *("FORCE_COLOR", "NO_COLOR", "PY_COLORS", "CLICOLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE", "TTY_INTERACTIVE"),
    *("GITHUB_ACTIONS", "COLUMNS", "LINES", "TERMINAL_WIDTH", "PYTHONWARNINGS", "PYTHONDEVMODE"),
)
for _name in list(os.environ):
    # what colours output or sets its width: rich reads it when it is imported, and so do processes that tests start
    if _name in _OUTPUT or (_name.startswith("SLOTLANG_") and _name not in _KEPT):
        del os.environ[_name]
os.environ["TERM"] = "dumb"


def _as_if_measured_here(folder: Path) -> Path:
    """The times that ship with the package, as if measured here: output does not depend on the machine or its user."""
    from slotlang.cost.profile import Machine, shipped_profile, this_machine

    values = json.loads(shipped_profile().read_text(encoding="utf-8"))
    here = this_machine()
    values["machine"] = {name: getattr(here, name) for name in Machine.__slots__}
    path = folder / "profile.json"
    path.write_text(json.dumps(values), encoding="utf-8")
    return path


# before the tests are imported: some find the profile then
_folder = tempfile.TemporaryDirectory(prefix="slotlang-tests-")
os.environ["SLOTLANG_PROFILE"] = str(_as_if_measured_here(Path(_folder.name)))
os.environ.setdefault("SLOTLANG_KERNEL_CACHE", str(Path(_folder.name) / "kernels"))
os.environ["SLOTLANG_SEARCH_CACHE"] = str(Path(_folder.name) / "searches")

# a collection of garbage walks through all that was imported and collected: a seventh of the time of the tests
gc.set_threshold(50_000, 20, 50)

FIRST = (
    # keeps reports from test to test: in one worker, so
    "tests/test_corpus.py",
    "tests/test_docs.py::test_commands",
    "tests/test_docs.py::test_python[cost.md]",
    "tests/planning/test_ranges.py::test_bounds_beyond",
    "tests/planning/test_ranges.py::test_an_unproved",
    "tests/run/test_failure.py::test_an_adapter",
    "tests/mutation/",
    "tests/cli/test_faults_signals.py",
    "tests/search/test_crossover.py",
    "tests/optimize/test_search.py",
    "tests/cost/test_noise.py",
    "tests/planning/test_choose.py",
    "tests/planning/test_target.py",
    "tests/schedule/test_permutation.py",
    "tests/optimize/test_programs.py",
    "tests/search/test_search.py",
    "tests/proof/test_against_oracle.py::test_random_programs",
    "tests/planning/test_slack.py",
    "tests/proof/test_exact.py",
)
"""Where the tests of more than two seconds are, in this order before all others: a worker that has nothing left takes
tests from the end of another's list, and so both end at the same time."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        name = item.nodeid
        return next((number for number, start in enumerate(FIRST) if name.startswith(start)), len(FIRST))

    items.sort(key=place)


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()


@pytest.fixture
def root() -> Path:
    return ROOT


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A service of one small adapter, a process of its own."""
    # not for the tests that need none: it imports the whole compiler
    from served import Process, build

    folder = tmp_path_factory.mktemp("served") / "service"
    build(folder)
    process = Process(folder)
    yield process
    process.close()


@pytest.fixture(scope="session")
def shipped_times() -> Path:
    """The profile in force: see ``_as_if_measured_here``."""
    return Path(os.environ["SLOTLANG_PROFILE"])
