"""The ``.slot`` text of a layout. Names are those of the corpus: C positions of a token in a ciphertext, K ciphertexts
of x, R rows of B side by side; those of a part carry its number, those of a module the module's."""

from __future__ import annotations

from slotlang.adapter.building.layout import Layout, Part


def text(layout: Layout, name: str) -> str:
    """The program of a layout, without bounds and parameters."""
    lines = [*_head(layout, name), ""]
    for number, part in enumerate(layout.parts):
        lines += [*_Part(layout, part, number).lines(), ""]
    for number in range(len(layout.shape.updates)):
        lines.append(f"prove y{number} == s{number} * A{number} @ B{number} @ x")
    return "\n".join([*lines, ""])


def _head(layout: Layout, name: str) -> list[str]:
    shape = layout.shape
    lines = [
        f"program {name}(d = {shape.columns}, batch = {shape.tokens}, slots = {layout.slots})",
        "",
        f"let T = {layout.side}",
        "let C = slots / T",
        "let K = (d + C - 1) // C",
        "",
        "input x[d, batch]",
    ]
    weights = (f"weight A{m}[{u.rows}, {u.rank}], B{m}[{u.rank}, d]\nscalar s{m}" for m, u in enumerate(shape.updates))
    full = layout.inputs * layout.positions == shape.columns and _tokens_full(layout)

    def x(token: str) -> str:
        return _read("x", "c*C + h", token, full)

    packed = f"{x('2*t')} + 1i * {x('2*t + 1')}" if layout.packing == "tokens" else x("t")
    return [*lines, *weights, "", "axes (h < C, t < T)", "", f"cipher X[c < K] = {packed}"]


def _tokens_full(layout: Layout) -> bool:
    return layout.side * (2 if layout.packing == "tokens" else 1) == layout.shape.tokens


def _read(tensor: str, row: str, column: str, full: bool) -> str:
    return f"{tensor}[{row}, {column}]" if full else f"({tensor}[{row}, {column}] else 0)"


class _Part:
    """The statements of a part."""

    def __init__(self, layout: Layout, part: Part, number: int) -> None:
        self.layout, self.part, self.n = layout, part, number
        self.lanes, self.ranks, self.blocks = len(part.members), part.ranks, layout.blocks(part)
        self.stacked, self.outputs = layout.stacked(part), layout.outputs(part)
        update = layout.shape.updates[part.members[0]]
        pairs = layout.packing == "pairs"
        self.far = self.ranks * self.blocks
        self.full_rows = self.far * (2 if pairs else 1) == update.rank
        self.full_in = layout.inputs * layout.positions == layout.shape.columns
        self.width = layout.positions // self.lanes
        self.full_out = self.outputs * self.width == update.rows
        self.turn = "T" if self.lanes == 1 else f"{self.lanes}*T"

    def lines(self) -> list[str]:
        """First B, then A."""
        return [*self.first(), *self.claims(), *self.second()]

    def lane(self, position: str, member: int, value: str) -> str:
        """``value`` in the slots of a module's lane, and zero elsewhere."""
        if self.lanes == 1:
            return value
        return f"[{position} % {self.lanes} == {self.part.members.index(member)}] * ({value})"

    def row(self, position: str) -> str:
        """The row of a module's B that stands at a position."""
        inside = "0"
        if self.ranks > 1:
            index = position if self.lanes == 1 else f"{position}//{self.lanes}"
            inside = f"{index} % {self.ranks}"
        if self.blocks == 1:
            return inside
        return "g" if self.ranks == 1 else f"g*{self.ranks} + {inside}"

    def extents(self, *letters: str) -> str:
        """``[q < 8, c < K]``, of those of the letters that have more than one value."""
        sizes = {"q": self.stacked, "v": self.ranks, "g": self.blocks, "o": self.outputs}
        names = [f"{'q' if a == 'v' else a} < {sizes[a]}" for a in letters if a != "c" and sizes[a] > 1]
        names += ["c < K"] if "c" in letters else []
        return f"[{', '.join(names)}]" if names else ""

    def indices(self, *letters: str) -> str:
        """``[q, c]``."""
        found = [term.split(" ")[0] for term in self.extents(*letters)[1:-1].split(", ") if term]
        return f"[{', '.join(found)}]" if found else ""

    def summed(self, letter: str, body: str) -> str:
        """The sum over a letter, where it has more than one value."""
        extent = self.extents(letter)
        return f"sum {extent[1:-1]}: {body}" if extent else body

    def first(self) -> list[str]:
        """x meets B: the intermediate result, in all positions."""
        n, pairs = self.n, self.layout.packing == "pairs"
        position = "(h - q)" if self.stacked > 1 else "h"
        full = self.full_rows and self.full_in
        rows = []
        for m in self.part.members:
            value = _read(f"B{m}", self.row(position), "c*C + h", full)
            if pairs:
                value += f" + 1i * {_read(f'B{m}', f'{self.row(position)} + {self.far}', 'c*C + h', full)}"
            rows.append(self.lane(position, m, value))
        lines = [f"plain W{n}{self.extents('q', 'g', 'c')} = {' + '.join(rows)}"]
        lines.append(f"P{n}{self.extents('q', 'g')} = sum c < K: X[c] * W{n}{self.indices('q', 'g', 'c')}")
        value = f"P{n}{self.indices('q', 'g')}"
        if self.stacked > 1:
            by = "" if self.part.direct else " by horner"
            lines.append(f"O{n}{self.extents('g')} = sum q < {self.stacked}{by}: {value} << q*T")
            value = f"O{n}{self.indices('g')}"
        if (copies := self.layout.positions // self.stacked) > 1:
            value = f"sum f < {copies} by doubling({self.part.radix}): {value} << f*{self.stacked}*T"
        return [*lines, f"S{n}{self.extents('g')} = {value}"]

    def claims(self) -> list[str]:
        """What the intermediate result is."""
        lines = []
        full = self.full_rows and _tokens_full(self.layout)
        for number, m in enumerate(self.part.members):

            def at(row: str, token: str, m: int = m) -> str:
                return _read(f"(B{m} @ x)", row, token, full)

            row = self.row("h")
            value = at(row, "2*t" if self.layout.packing == "tokens" else "t")
            if self.layout.packing == "pairs":
                value += f" + 1i * {at(f'{row} + {self.far}', 't')}"
            if self.layout.packing == "tokens":
                value += f" + 1i * {at(row, '2*t + 1')}"
            where = "" if self.lanes == 1 else f" where h % {self.lanes} == {number}"
            lines.append(f"claim S{self.n}{self.indices('g')} == {value}{where}")
        return lines

    def second(self) -> list[str]:
        """The intermediate result meets A."""
        n, lanes = self.n, self.lanes
        full = self.full_rows and self.full_out
        own = "h" if lanes == 1 else f"h//{lanes}"
        channel = f"o*{self.width} + {own}" if self.outputs > 1 else own
        rank = "0" if self.ranks == 1 else f"({own} + q) % {self.ranks}"
        if self.blocks > 1:
            rank = "g" if self.ranks == 1 else f"g*{self.ranks} + {rank}"
        columns = []
        for m in self.part.members:
            value = _read(f"A{m}", channel, rank, full)
            if self.layout.packing == "pairs":
                value = f"({value} - 1i * {_read(f'A{m}', channel, f'{rank} + {self.far}', full)})"
            columns.append(self.lane("h", m, f"s{m} * {value}"))
        lines = [f"plain V{n}{self.extents('v', 'o', 'g')} = {' + '.join(columns)}"]
        view = f"S{n}{self.indices('g')}"
        if self.ranks > 1:
            # a remainder is no ladder, so that the rotations share the digits of one decomposition
            amount = f"(q*{self.turn} % slots)" if self.part.direct else f"q*{self.turn}"
            view = f"({view} << {amount})"
        product = self.summed("v", self.summed("g", f"{view} * V{n}{self.indices('v', 'o', 'g')}"))
        lines.append(f"Y{n}{self.extents('o')} = {product}")
        parts = {"pairs": [("re ", "t")], "tokens": [("re ", "2*t"), ("im ", "2*t + 1")]}
        for number, m in enumerate(self.part.members):
            where = "" if lanes == 1 else f" where h % {lanes} == {number}"
            for part, token in parts.get(self.layout.packing, [("", "t")]):
                lines.append(f"output y{m}[{channel}, {token}] = {part}Y{n}{self.indices('o')}{where}")
        return lines
