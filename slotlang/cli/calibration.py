"""``slotlang calibrate``, and the profile that other commands predict by."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from slotlang.cli.faults import guard_native_code
from slotlang.cli.output import emit_json, report, write_file
from slotlang.cli.progress import watched
from slotlang.cost.profile import Profile, find_profile, this_machine, user_profile
from slotlang.diagnostics import error
from slotlang_runtime.amounts import count_of


def chosen_profile(path: Path | None) -> Profile:
    """The profile in force. A warning on standard error says when somebody chose one that was not measured here."""
    profile = find_profile(path)
    if warnings := tuple(profile.warnings(this_machine())):
        report(warnings, "warning")
    return profile


def say_where_measured(profile: Profile, console: Console) -> None:
    """The note that belongs below predicted times, where there is one."""
    if note := profile.note(this_machine()):
        console.print(note, highlight=False)


def calibrate_machine(output: Path | None, degrees: Sequence[int], seconds: float, as_json: bool) -> None:
    """Measure and write a profile; nothing is written when it is interrupted."""
    from slotlang.run.calibrate import calibrate

    if not (math.isfinite(seconds) and seconds >= 0):
        raise error("SL005", "--seconds must be a number that is not negative")
    path = output or user_profile()
    _check_folder(path, make=output is None)
    start = time.perf_counter()
    guard_native_code()
    with watched() as line:
        profile = calibrate(line.fraction, seconds, degrees)
    values = profile.to_json()
    write_file(path, json.dumps(values, indent=1) + "\n")
    passed = time.perf_counter() - start
    machine = profile.machine
    if as_json:
        keys = ("name", "machine", "date", "load")
        measured = {"degrees": sorted(profile.table), "seconds": passed}
        emit_json("calibrate", {"output": str(path), **{key: values[key] for key in keys}, **measured})
    else:
        print(f"{path}: {profile.name}")
        print(f"  degrees {', '.join(map(str, sorted(profile.table)))}, measured in {passed:.1f} s")
        if profile.load > machine.cores:
            busy = f"load {profile.load:.1f} on {count_of(machine.cores, 'core')}"
            print(f"  the machine was busy ({busy}); times are better measured when it is not")


def _check_folder(path: Path, *, make: bool) -> None:
    """Raises SL004 before anything is measured when the file could not be written."""
    try:
        if make:
            path.parent.mkdir(parents=True, exist_ok=True)
        problem = (
            "" if path.parent.is_dir() and os.access(path.parent, os.W_OK) else f"{path.parent} can't be written to"
        )
        problem = f"{path} is a folder" if path.is_dir() else problem
    except (OSError, ValueError) as reason:
        problem = getattr(reason, "strerror", None) or str(reason)
    if problem:
        raise error("SL004", f"can't write {path}: {problem}", file=str(path))
