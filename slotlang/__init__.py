"""slotlang: CKKS slot layouts and schedules that are proved, counted and run. ``slotlang.api`` is the way in."""
