"""What a search looks for and what it finds: the objective, the limits, the candidates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from slotlang.cost.counts import Counts
from slotlang.cost.data import UNIT, Assumed, assumed_text, within_bounds
from slotlang.cost.link import Link
from slotlang.cost.predict import Prediction
from slotlang.diagnostics import pick
from slotlang.displayed import Pictured
from slotlang.meaning.bind import bind
from slotlang.meaning.outside_bounds import Limit, with_bound_statements
from slotlang.planning.parameters import Parameters
from slotlang.planning.target import Target
from slotlang.search.space import front
from slotlang.search.structure import Shape, Structure
from slotlang.search.weights import GivenWeights
from slotlang.source import Source
from slotlang.syntax.parser import parse
from slotlang_runtime.amounts import noun_of

Objective: TypeAlias = Literal["time", "latency", "rotations", "keys", "traffic"]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)


def objective_named(name: str) -> Objective:
    """Raises SL463."""
    return pick(name, OBJECTIVES, "SL463", "objective", "objectives")


@dataclass(frozen=True)
class Limits:
    """What a user can't go beyond, besides a target. ``memory``: bytes of Galois keys as the server holds them, encoded
    weights, and ciphertexts at the peak; ``copies``: how many times as many ciphertexts of x as need be may go up."""

    memory: int | None = None
    copies: int = 1


@dataclass(frozen=True)
class Candidate:
    """A proved program under parameters. Counts, times and bytes are of all groups of tokens together. ``error``:
    predicted relative rms error; ``unrolled``: False where the graph was too large, and the numbers come by formula."""

    structure: Structure
    text: str
    verdict: str
    parameters: Parameters
    error: float
    predicted: Prediction
    counts: Counts
    key_bytes: int
    upload_bytes: int
    download_bytes: int
    weight_bytes: int
    memory_bytes: int
    unrolled: bool

    def __repr__(self) -> str:
        return f"<Candidate {self.structure.name()}: {self.verdict}, {1e3 * self.predicted.server:.3g} ms predicted>"

    @property
    def traffic_bytes(self) -> int:
        """Up and down."""
        return self.upload_bytes + self.download_bytes

    def latency(self, link: Link | None) -> float:
        """Seconds of a whole request: of client, link and server."""
        return self.predicted.request + (link.seconds(self.upload_bytes, self.download_bytes) if link else 0.0)

    def measures(self, objective: Objective = "time", link: Link | None = None) -> tuple[float, ...]:
        """What the Pareto front is about: the time is the server's, or that of a whole request where this is asked
        for."""
        time = self.latency(link) if objective == "latency" else self.predicted.server
        return (time, self.key_bytes, self.traffic_bytes, self.error)

    def by(self, objective: Objective, link: Link | None = None) -> tuple[float, ...]:
        """What is made small, first things first."""
        time = self.predicted.server
        first = {
            "time": time,
            "latency": self.latency(link),
            "rotations": self.counts.key_switches,
            "keys": self.key_bytes,
            "traffic": self.traffic_bytes,
        }[objective]
        return (first, time, self.key_bytes, self.traffic_bytes)

    def to_json(self, link: Link | None = None) -> dict[str, object]:
        """Plain data; keys as in ``synth --json``."""
        s = self.structure
        return {
            "structure": s.name(),
            "slots": s.slots,
            "tokens": s.held,
            "verdict": self.verdict,
            "parameters": self.parameters.to_json(),
            "counts": self.counts.to_json(),
            "galois_key_bytes": self.key_bytes,
            "upload_bytes": self.upload_bytes,
            "download_bytes": self.download_bytes,
            "weight_bytes": self.weight_bytes,
            "memory_bytes": self.memory_bytes,
            "predicted": self.predicted.to_json(),
            "latency_seconds": self.latency(link),
            "predicted_error": self.error,
            "unrolled": self.unrolled,
        }


@dataclass
class Found(Pictured):
    """What a search has found so far; it is there when the search is interrupted. ``bounds``: of magnitudes, which the
    parameters hold; ``weights``: what errors are predicted for; ``link``: between client and server, for latencies."""

    shape: Shape
    objective: Objective
    target: Target
    limits: Limits
    bounds: Mapping[str, Limit] = field(default_factory=dict)
    weights: GivenWeights | None = None
    link: Link | None = None
    sketched: int = 0
    earlier: int = 0
    """Candidates of the earlier search that these are the best of; 0 where this search found them itself."""
    candidates: list[Candidate] = field(default_factory=list)
    refused: list[Candidate] = field(default_factory=list)
    """Beyond the limits."""
    best_error: float = float("inf")
    """Smallest error of those that missed the precision."""
    complete: bool = False

    def __repr__(self) -> str:
        s, number = self.shape, len(self.candidates)
        best = f", {self.ranked[0].structure.name()} the best" if number else ""
        return (
            f"<Found {s.d_in} to {s.d_out} {noun_of(s.d_out, 'channel')}, rank "
            f"{s.rank}, batch {s.batch}: {number} proved{best}>"
        )

    @property
    def worked(self) -> int:
        """Candidates that were proved and costed when the best was chosen, by this search or by an earlier one."""
        return self.earlier or len(self.candidates)

    @property
    def precision(self) -> float:
        """The target's; ``start`` has made sure that there is one."""
        assert self.target.precision is not None
        return self.target.precision

    @property
    def about(self) -> str:
        """The data that errors are predicted for, in words."""
        text = assumed_text(self.assumed)
        return text if self.weights is None else text.replace("these weights", f"the weights of {self.weights.name}")

    @property
    def assumed(self) -> Assumed:
        """The data that errors are predicted for."""
        syntax = with_bound_statements(parse(Source("synth", self.ranked[0].text)), self.bounds)
        squares = within_bounds(bind(syntax), UNIT).squares
        if self.weights is None:
            return "bounds" if squares else "unit"
        return "weights and bounds" if "x" in squares else "weights"

    @property
    def text(self) -> str:
        """The best candidate as a program, with the bounds of magnitudes and the parameters it was chosen for."""
        from slotlang.search.report import program_text

        return program_text(self)

    @property
    def ranked(self) -> list[Candidate]:
        """By the objective, best first."""
        return sorted(self.candidates, key=lambda c: c.by(self.objective, self.link))

    @property
    def pareto(self) -> list[Candidate]:
        """No other is as good in time, key bytes, traffic and error; by time."""
        return front(self.candidates, lambda c: c.measures(self.objective, self.link))

    def add(self, candidate: Candidate) -> None:
        """Keep a candidate, or note that it is beyond a limit."""
        keys, memory = self.target.max_key_bytes, self.limits.memory
        within = (keys is None or candidate.key_bytes <= keys) and (memory is None or candidate.memory_bytes <= memory)
        (self.candidates if within else self.refused).append(candidate)
