"""Measure the seed document's claims and rewrite the table region of seed-claims.md.

python docs/make_seed_claims.py          # rewrite
python docs/make_seed_claims.py --check  # exit status 1 when the file is not what the programs give
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from slotlang import api
from slotlang.proof.explain import Counterexample

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "seed-claims.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"

Check = Callable[[api.Program], api.Report]
Count = Callable[[api.Program], api.Cost]

RESCALING = api.Parameters(8192, (60, 40, 40, 60), 40, (1, 2))
SMALL_RING = api.Parameters(4096, (36, 36, 37), 20)


@dataclass(frozen=True)
class Measured:
    """What one program costs, and what the verifier says of it.

    ``right`` of ``wanted`` products stand in the slot that a refutation shows; None where it does not count them.
    """

    path: str
    status: str
    rotations: int
    keys: int
    products: int
    depth: int
    up: int
    down: int
    bound: int | None
    right: int | None
    wanted: int | None

    @property
    def share(self) -> str:
        """How much of the refuted slot is right."""
        assert self.right is not None and self.wanted is not None
        return f"{self.right:,} of {self.wanted:,}"


def measure(path: str, check: Check = api.check, count: Count = api.cost, **sizes: int) -> Measured:
    """Check and count a program; ``path`` is relative to programs/."""
    program = api.load(ROOT / "programs" / path, sizes)
    report, cost = check(program), count(program)
    counts, example = cost.counts, report.counterexample
    assert example is None or isinstance(example, Counterexample)
    right = None if example is None else example.products_right
    missing = None if example is None else example.products_missing
    return Measured(
        path,
        report.status,
        counts.rotations,
        counts.galois_keys,
        counts.plain_products,
        counts.depth,
        counts.ciphertexts_in,
        counts.ciphertexts_out,
        cost.rotation_lower_bound,
        right,
        None if right is None or missing is None else right + missing,
    )


@dataclass(frozen=True)
class Claim:
    """A claim of the document: where, its words, the programs that settle it, and what is true.

    ``truth`` has places for measured figures: ``{two_phase.rotations}``.
    """

    section: str
    words: str
    programs: tuple[str, ...]
    verdict: str
    truth: str


CLAIMS = (
    Claim(
        "2",
        "A and B apart have 128 times fewer elements and multiplications than A @ B",
        ("seed/combined_fixed", "rank_first"),
        "true",
        "{combined_fixed.products:,} plaintext products against {rank_first.products}, {ratio} times fewer.",
    ),
    Claim(
        "2, 3",
        '"Current (AB combined): 2 × log₂(8) = 6 rotations"',
        ("seed/combined", "seed/combined_fixed", "dense_ab_batch"),
        "false",
        "Even with six rotations for each output block, {combined.share} products of a slot are right. A "
        "result depends on 512 slots of a ciphertext, and t rotations reach 2^t of them, so {combined.bound} "
        "is the least in this layout. What works takes {combined_fixed.rotations:,} rotations as written, "
        "{dense_ab_batch.rotations} with baby and giant steps.",
    ),
    Claim(
        "3",
        "Naive two-phase: r·log₂(8) = 48 rotations down, 0 up",
        ("seed/two_phase", "seed/two_phase_fixed"),
        "false",
        "{two_phase.share} products are right. Adding up all 512 channels takes 9 rotations per rank, and the "
        "packed sums have to be rotated past A: {two_phase_fixed.rotations}.",
    ),
    Claim(
        "4",
        "Sum of outer products: r·(log₂ blocks + log₂ slots) = 256 rotations, the broadcast being expensive",
        ("seed/outer_products", "seed/outer_products_broadcast", "seed/outer_products_fixed"),
        "false",
        "As described, {outer_products.share} products of a slot are right, and replicating one gives every token the "
        "sum of the first. Step by step it takes {outer_products_broadcast.rotations}. The broadcast is not "
        "needed at all, since a cyclic rotate-and-add leaves the sum in every slot: "
        "{outer_products_fixed.rotations}.",
    ),
    Claim(
        "5",
        "Accumulate in rank space, broadcast once: r·log₂(8) + log₂ d rotations",
        ("seed/lazy", "seed/lazy_fixed"),
        "false",
        "Every rank needs a broadcast of its own once the sums share a ciphertext: {lazy_fixed.rotations} "
        "rotations and {lazy_fixed.depth} products in a row.",
    ),
    Claim(
        "5",
        'Column-major A: "needs only log₂(r) rotations"',
        ("seed/column_major",),
        "true of one ciphertext",
        "A ciphertext holds 32 outputs in this order, so that {column_major.down} of them go back, each with "
        "4 rotations: {column_major.rotations} in all, the first half included.",
    ),
    Claim(
        "6",
        "Rank-block packing: log₂(8) + 16 = 19 rotations",
        ("seed/rank_block", "seed/rank_block_fixed"),
        "false",
        "The tree reduce adds whole ciphertexts and never channels within one: {rank_block.share} products "
        "are right. With the diagonals of B it takes {rank_block_fixed.rotations}.",
    ),
    Claim(
        "6",
        "Ranks of a token side by side (r₀b₀, r₁b₀, ...): minimal rotations",
        ("seed/rank_contiguous", "seed/rank_contiguous_fixed"),
        "false",
        "Rotations carry sums into the neighbouring token. Done right it takes "
        "{rank_contiguous_fixed.rotations}, twice as many as with the tokens innermost.",
    ),
    Claim(
        "7, 8",
        '"Pre-rotate A\'s encoding instead of rotating ct_s": log₂(8) = 3 rotations, 50 % fewer',
        ("seed/hoisted", "seed/hoisted_literal", "seed/hoisted_fixed", "seed/hoisted_bsgs"),
        "false",
        "Rotating a plaintext moves where a product lands, not which sum a slot of the ciphertext holds: with "
        "correct sums, {hoisted.share} products are right, and as the document counts it "
        "{hoisted_literal.share}. 3 is below the bound of {hoisted.bound}. A rotation can be moved behind the "
        "product ({hoisted_fixed.rotations} rotations in all, one set per output block) or shared by baby and "
        "giant steps ({hoisted_bsgs.rotations}).",
    ),
    Claim(
        "8",
        "The low rank saves rotations",
        ("dense_ab_batch", "rank_first", "rank_complex", "squat_tall"),
        "true, and by more than 50 %",
        "{dense_ab_batch.rotations} for A @ B, {rank_first.rotations} with A and B apart, "
        "{rank_complex.rotations} with two ranks in a complex slot; for one token {squat_tall.rotations}.",
    ),
    Claim(
        "9",
        "RANK_FIRST packing and a utility that rotates plaintexts beforehand",
        ("seed/prerotated",),
        "right where products land",
        "`V >> k` on a plaintext costs nothing. It lays out the diagonals of B; it saves no rotation of A.",
    ),
    Claim(
        "9",
        "Fuse down-projection accumulation with rescale",
        ("rank_first",),
        "true",
        "One rescale per sum, {rescales}, instead of one per product, {rank_first.products} (parameters "
        "60,40,40,60 at degree 8192). With primes 60,60,60 none is needed.",
    ),
    Claim(
        "9",
        "Cache the pre-rotated encodings of A",
        ("rank_first",),
        "true",
        "{rank_first.products} plaintexts are encoded once, {weight_bytes} MB; rotations stay {rank_first.rotations}.",
    ),
    Claim(
        "9",
        "Edge cases: r > block_size",
        ("seed/wide_rank",),
        "works",
        "At r = 1024 there are {wide_rank.rotations} rotations, as many as for A @ B "
        "({dense_ab_batch.rotations}), and half of its products.",
    ),
    Claim(
        "10 A",
        "Batch and rank packed jointly",
        ("seed/joint",),
        "nothing new",
        "The same schedule as rank_block_fixed: {joint.rotations} rotations.",
    ),
    Claim(
        "10 B",
        "r ≤ 8: all ranks in parallel lanes",
        ("seed/lanes", "rank_first_r8", "rank_complex_r8"),
        "true, at a price",
        "{lanes.rotations} rotations instead of {rank_first_r8.rotations} at r = 8, and {lanes.up} "
        "ciphertexts go up instead of {rank_first_r8.up}. Complex rank pairs reach "
        "{rank_complex_r8.rotations} with {rank_complex_r8.up}.",
    ),
    Claim(
        "10 C",
        "Sparse weights need fewer products",
        ("seed/sparse_ranks", "sparse_heads"),
        "true of structured zeros",
        "Whole diagonals have to vanish. Then the rotations vanish too: {sparse_ranks.rotations} and "
        "{sparse_heads.rotations} instead of {rank_first.rotations}.",
    ),
    Claim(
        "10 D",
        "Lower CKKS precision",
        ("rank_complex_small",),
        "true",
        "The same program with other parameters. At degree 4096 with primes 36,36,37 the keys take "
        "{small_keys} MB instead of {large_keys}, for {rank_complex_small.up} ciphertexts of half the size.",
    ),
    Claim(
        "10 E",
        "Skip ranks whose gate is 0",
        ("seed/gated_ranks", "gated", "lora_xs"),
        "true of gates known when compiling",
        "With 8 of 16 ranks, {gated_ranks.rotations} rotations. A gate on all ranks merges into A "
        "({gated.rotations}). An encrypted gate can't be skipped; an encrypted r × r matrix takes "
        "{lora_xs.rotations}.",
    ),
    Claim(
        "none",
        "Sum B over the rank before the product and A after it",
        ("seed/rank_summed",),
        "false",
        "No rotation at all, and {rank_summed.share} products are right.",
    ),
)

VARIANTS: dict[str, tuple[str, dict[str, int]]] = {
    "rank_first_r8": ("rank_first", {"r": 8}),
    "rank_complex_r8": ("rank_complex", {"r": 8}),
    "rank_complex_small": ("rank_complex", {"slots": 2048}),
}


def _key(name: str) -> str:
    return name.rpartition("/")[2]


def measured(check: Check = api.check, count: Count = api.cost) -> dict[str, Measured]:
    """Every program the claims name, by its name in their texts."""
    found: dict[str, Measured] = {}
    for claim in CLAIMS:
        for name in claim.programs:
            path, sizes = VARIANTS.get(name, (name, {}))
            if _key(name) not in found:
                found[_key(name)] = measure(f"{path}.slot", check, count, **sizes)
    return found


def _figures(found: dict[str, Measured]) -> dict[str, object]:
    rank_first = api.load(ROOT / "programs/rank_first.slot")
    rank_complex = api.load(ROOT / "programs/rank_complex.slot")
    small = api.load(ROOT / "programs/rank_complex.slot", {"slots": 2048})
    ratio = found["combined_fixed"].products / found["rank_first"].products
    assert ratio == int(ratio)
    return {
        **found,
        "ratio": int(ratio),
        "rescales": api.cost(rank_first, RESCALING).counts.rescales,
        "weight_bytes": f"{api.cost(rank_first).weight_bytes / 1e6:.1f}",
        "small_keys": f"{api.cost(small, SMALL_RING).galois_key_bytes / 1e6:.1f}",
        "large_keys": f"{api.cost(rank_complex).galois_key_bytes / 1e6:.1f}",
    }


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _program_rows(found: dict[str, Measured]) -> list[str]:
    rows = [
        _row("program", "verdict", "rotations", "keys", "products", "in a row", "up", "down", "bound"),
        _row("---", "---", *["---:"] * 7),
    ]
    names = dict.fromkeys(name for claim in CLAIMS for name in claim.programs)
    for name in names:
        m = found[_key(name)]
        path, sizes = VARIANTS.get(name, (name, {}))
        text = f"[{path}](../programs/{path}.slot)" + "".join(f" {k}={v}" for k, v in sizes.items())
        bound = "" if m.bound is None else m.bound
        rows.append(_row(text, m.status, f"{m.rotations:,}", m.keys, f"{m.products:,}", m.depth, m.up, m.down, bound))
    return rows


def _grid() -> list[str]:
    rows = [_row("d", "r", "rotations", "keys", "products", "up"), _row(*["---:"] * 6)]
    for d in (2048, 4096, 8192):
        for r in (16, 32, 64):
            cost = api.cost(api.load(ROOT / "programs/rank_complex.slot", {"d": d, "r": r}))
            c = cost.counts
            rows.append(_row(d, r, c.rotations, c.galois_keys, c.plain_products, c.ciphertexts_in))
    return rows


def region(check: Check = api.check, count: Count = api.cost) -> str:
    """The text between the markers."""
    found = measured(check, count)
    figures = _figures(found)
    lines = [_row("section", "the document says", "found", "what is true"), _row(*["---"] * 4)]
    for claim in CLAIMS:
        truth = claim.truth.format(**figures)
        lines.append(_row(claim.section, claim.words, claim.verdict, truth))
    lines += ["", "## The programs", "", *_program_rows(found)]
    lines += ["", "## Other sizes", "", "`rank_complex.slot`, 8 tokens (section 9, phase 3).", "", *_grid()]
    return "\n".join(lines)


def page(check: Check = api.check, count: Count = api.cost) -> str:
    """The whole file as it should be."""
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n\n{region(check, count)}\n\n{END}{after}"


def main() -> int:
    """Rewrite the file, or compare it."""
    text = page()
    if "--check" in sys.argv:
        return int(text != PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
