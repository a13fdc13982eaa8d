"""Time that goes on evenly, whatever is done to the machine's clock while the service runs."""

from __future__ import annotations

import time


class Clock:
    """Seconds since 1970 as the machine's clock had them at the start, and from then on by one that nobody sets. So a
    clock that jumps, ahead or back, neither ends sessions nor gives answers a second life."""

    def __init__(self) -> None:
        self._start = time.time() - _steady()

    def __call__(self) -> float:
        """Now."""
        return self._start + _steady()

    @property
    def jumped(self) -> float:
        """Seconds by which the machine's clock is ahead of this one; negative where it is behind."""
        return time.time() - self()


def _steady() -> float:
    # goes on while the machine sleeps, which the monotonic clock of Linux does not
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)
