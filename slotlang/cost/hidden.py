"""What costs and noise need to know of how results are hidden."""

from __future__ import annotations

from typing import Protocol

from slotlang.graph.graph import Member


class Hidden(Protocol):
    """What is hidden in results; ``Hiding`` of the lowering is one."""

    @property
    def mode(self) -> str:
        """``none`` where nothing is hidden."""

    @property
    def doubled(self) -> frozenset[str]:
        """Families that hold twice the result."""

    @property
    def parts(self) -> frozenset[Member]:
        """Result ciphertexts whose other part is masked."""

    @property
    def slots(self) -> frozenset[Member]:
        """Results in which some slots are masked."""
