"""What costs and noise need to know of how results are hidden."""

from __future__ import annotations

from collections.abc import Mapping
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
    def halves(self) -> frozenset[Member]:
        """Result ciphertexts of which half of c0 is sent."""

    @property
    def zero(self) -> frozenset[str]:
        """Families that are zero in all slots that no output reads."""

    @property
    def slots(self) -> frozenset[Member]:
        """Results in which some slots are masked."""

    @property
    def whole(self) -> bool:
        """Whether whole ciphertexts are sent, with masks of parts that no output reads."""

    @property
    def doubles(self) -> bool:
        """Whether results are decoded in double precision beside masks of any size."""

    @property
    def bits(self) -> Mapping[str, int]:
        """Bits of these masks, by family."""

    @property
    def precise(self) -> bool:
        """Whether masks are encoded, and what is read beside them decoded, with twice the digits of a double."""
