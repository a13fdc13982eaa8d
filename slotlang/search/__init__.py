"""Synthesis: the cheapest schedule, layout and parameters for ``y = scale * A @ B @ x``, found and proved."""
