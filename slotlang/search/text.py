"""The text of a structure as a ``.slot`` program, its names those of the corpus: C positions of a token in a
ciphertext, K ciphertexts of x and L of y, R ranks side by side. Parts that a structure has no use for are left out."""

from __future__ import annotations

from slotlang.schedule.doubling import RADIX
from slotlang.search.structure import Structure


def text(s: Structure, name: str = "synth") -> str:
    """The program of a structure."""
    return _Text(s, name).program()


class _Text:
    """Parts of the text, each left out where the structure has no use for it."""

    def __init__(self, s: Structure, name: str) -> None:
        self.s, self.name = s, name
        shape = s.shape
        pairs = s.packing == "pairs"
        per_slot = 2 if s.packing == "channels" else 1
        self.group = "u" if s.groups > 1 else ""
        self.full_rows = (2 if pairs else 1) * s.ranks * s.blocks == (shape.d_out if s.dense else shape.rank)
        self.full_in = s.inputs * s.channels * per_slot == shape.d_in
        self.full_out = s.outputs * s.width * per_slot == shape.d_out
        self.full_tokens = s.groups * s.held == shape.batch
        self.far = "R" if s.blocks == 1 else "G*R"
        self.doubling = "doubling" if s.radix == RADIX else f"doubling({s.radix})"

    def family(self, name: str, *indices: tuple[str, str]) -> str:
        """``P[q < Q, g < G]``, of the indices that are there."""
        binders = [f"{letter} < {extent}" for letter, extent in indices if self.has(letter)]
        return f"{name}[{', '.join(binders)}]" if binders else name

    def member(self, name: str, *letters: str) -> str:
        """``P[q, g]``."""
        indices = [letter for letter in letters if self.has(letter)]
        return f"{name}[{', '.join(indices)}]" if indices else name

    def has(self, letter: str) -> bool:
        s = self.s
        return {
            "u": s.groups > 1,
            "g": s.blocks > 1,
            "c": s.inputs > 1,
            "o": s.outputs > 1,
            "q": s.diagonals > 1,
            "v": s.views > 1,
        }[letter]

    def sum(self, letter: str, extent: str, body: str, by: str = "") -> str:
        return f"sum {letter} < {extent}{by}: {body}" if self.has(letter) else body

    def read(self, tensor: str, row: str, column: str, full: bool) -> str:
        return f"{tensor}[{row}, {column}]" if full else f"({tensor}[{row}, {column}] else 0)"

    def channel(self, block: str, position: str, width: str, half: int) -> str:
        """Channel of a position; ``half``: of the two channels of a slot."""
        place = f"{block}*{width} + {position}" if block else position
        if self.s.packing != "channels":
            return place
        place = f"2 * ({place})" if "+" in place else f"2 * {_atom(place)}"
        return place if half == 0 else f"{place} + 1"

    def token(self, half: int) -> str:
        digit = "t" if self.s.tokens > 1 else ""
        if self.s.packing == "tokens":
            group = "2*u*T" if self.group else ""
            own = "2*t" if digit else ""
            return " + ".join(filter(None, [group, own, str(half) if half or not (group or own) else ""]))
        group = ("u*T" if self.s.tokens > 1 else "u") if self.group else ""
        return " + ".join(filter(None, [group, digit])) or "0"

    def program(self) -> str:
        s = self.s
        return "\n".join([*self.head(), "", *self.first(), "", *(self.read_dense() if s.dense else self.second()), ""])

    def head(self) -> list[str]:
        s = self.s
        shape = s.shape
        sizes = {"d_in": shape.d_in, "d_out": shape.d_out, "r": shape.rank, "R": s.ranks, "batch": shape.batch}
        if s.down and s.diagonals > 1:
            sizes["down"] = s.down
        if s.up > 1:
            sizes["up"] = s.up
        sizes["slots"] = s.slots
        lines = [f"program {self.name}({', '.join(f'{k} = {v}' for k, v in sizes.items())})", ""]

        def let(name: str, value: str, comment: str) -> None:
            lines.append(f"{f'let {name} = {value}':<34} # {comment}")

        let("T", str(s.tokens), "slots of tokens side by side")
        if s.groups > 1:
            let("N", str(s.groups), "groups of tokens")
        let("C", "slots / T", "positions of a token in a ciphertext")
        per = "2*" if s.packing == "channels" else ""
        if s.copies > 1:
            let("E", str(s.copies), "copies of a channel in a ciphertext of x")
            let("D", "C / E", "slots of channels in a ciphertext of x")
        own = "D" if s.copies > 1 else "C"
        whole = per + own
        if s.inputs > 1:
            let("K", _quotient("d_in", whole), "ciphertexts of x")
        if s.blocks > 1:
            let("G", str(s.blocks), "blocks of ranks" if not s.dense else "ciphertexts of y")
        if s.diagonals > 1:
            let("Q", "R / E" if s.copies > 1 else "R", "diagonals of A @ B" if s.dense else "diagonals of B")
        if not s.dense:
            if s.shares > 1:
                let("H", str(s.shares), "shares of a channel in a ciphertext of y")
                let("F", "C / H", "slots of channels in a ciphertext of y")
            far = "F" if s.shares > 1 else "C"
            if s.outputs > 1:
                let("L", _quotient("d_out", per + far), "ciphertexts of y")
            if s.views > 1:
                let("Z", "R / H" if s.shares > 1 else "R", "rotations past A")
        lines += [
            "",
            "input  x[d_in, batch]",
            "weight A[d_out, r], B[r, d_in]",
            "scalar scale",
            "",
            "axes (h < C, t < T)",
            "",
        ]
        return lines[:-1]

    def packed(self) -> str:
        """What the client packs."""
        s = self.s
        position = "h//E" if s.copies > 1 else "h"
        own = "D" if s.copies > 1 else "C"
        full = self.full_in and self.full_tokens
        block = "c" if self.has("c") else ""

        def x(channel: int, token: int) -> str:
            return self.read("x", self.channel(block, position, own, channel), self.token(token), full)

        if s.packing == "tokens":
            return f"{x(0, 0)} + 1i * {x(0, 1)}"
        if s.packing == "channels":
            return f"{x(0, 0)} + 1i * {x(1, 0)}"
        return x(0, 0)

    def rows(self, tensor: str, rank: str, channel: str, *, full: bool, scaled: bool = False) -> str:
        """Row (two packed rows) of the first matrix at a channel."""

        def at(row: str) -> str:
            return self.read(tensor, row, channel, full)

        scale = "scale * " if scaled else ""
        if self.s.packing != "pairs":
            return scale + at(rank)
        second = f"{rank} + {self.far}"
        if scaled:
            return f"scale * ({at(rank)} + 1i * {at(second)})"
        return f"{at(rank)} + 1i * {at(second)}"

    def rank(self, position: str) -> str:
        """Row that stands at a position."""
        inside = f"{position} % R" if self.s.ranks < self.s.positions or position != "h" else position
        if self.s.ranks == 1:
            return "g" if self.has("g") else "0"
        return f"g*R + {inside}" if self.has("g") else inside

    def first(self) -> list[str]:
        """x meets the first matrix."""
        s = self.s
        full = self.full_rows and self.full_in
        matrix = "(A @ B)" if s.dense else "B"
        own = "D" if s.copies > 1 else "C"
        step = "T" if s.copies == 1 else "E*T"
        block = "c" if self.has("c") else ""
        position = "h//E" if s.copies > 1 else "h"
        cipher = f"cipher {self.family('X', ('u', 'N'), ('c', 'K'))} = {self.packed()}"
        weights = self.family("W", ("q", "Q"), ("g", "G"), ("c", "K"))
        w = self.member("W", "q", "g", "c")
        x = self.member("X", "u", "c")
        lines = [cipher]
        after_products = s.down == 0 or s.diagonals == 1
        back = "q*E" if s.copies > 1 else "q"
        if after_products:
            rank = self.rank(f"(h - {back})" if self.has("q") else "h")
            channels = [self.channel(block, position, own, half) for half in (0, 1)]
            lines += self.plain(weights, matrix, rank, channels, full)
            product = self.sum("c", "K", f"{x} * {w}")
            if s.diagonals > 1:
                p = self.family("P", ("u", "N"), ("g", "G"), ("q", "Q"))
                lines += ["", f"{p} = {product}"]
                last = f"{self.member('P', 'u', 'g', 'q')} << q*{step}"
                summed = f"sum q < Q{'' if s.direct else ' by horner'}: {last}"
            else:
                lines.append("")
                summed = product
        else:
            rotated = f"({position} + q) % {own}"
            channels = [self.channel(block, rotated, own, half) for half in (0, 1)]
            lines += self.plain(weights, matrix, self.rank("h"), channels, full)
            lines.append("")
            product = self.sum("c", "K", f"({x} << q*{step}) * {w}")
            summed = f"sum q < Q by bsgs(down): {product}"
        names = ["S"]
        doubling = s.positions // s.ranks > 1
        if s.packing == "channels":
            names.insert(0, "U")
        if doubling:
            names.insert(0, "O")
        gu = (("u", "N"), ("g", "G"))
        lines.append(f"{self.family(names[0], *gu)} = {summed}")
        if doubling:
            source = self.member("O", "u", "g")
            lines.append(f"{self.family(names[1], *gu)} = sum f < C/R by {self.doubling}: {source} << f*R*T")
        if s.packing == "channels":
            u = self.member("U", "u", "g")
            lines.append(f"{self.family('S', *gu)} = {u} + conj {u}")
        lines.append(self.claim())
        return lines

    def plain(self, family: str, matrix: str, rank: str, channels: list[str], full: bool) -> list[str]:
        """Weights of the first matrix; ``channels``: both of a slot."""
        scaled = self.s.dense
        if self.s.packing == "channels":
            both = [self.read(matrix, rank, channel, full) for channel in channels]
            scale = "scale/2" if scaled else "1/2"
            return [f"plain  {family} = {scale} * ({both[0]} - 1i * {both[1]})"]
        return _wrapped(f"plain  {family} = ", self.rows(matrix, rank, channels[0], full=full, scaled=scaled))

    def claim(self) -> str:
        s = self.s
        matrix = "(scale * A @ B @ x)" if s.dense else "(B @ x)"
        full = self.full_rows and self.full_tokens

        def at(second: bool, token: int) -> str:
            rank = self.rank("h") + (f" + {self.far}" if second else "")
            return self.read(matrix, rank, self.token(token), full)

        value = at(False, 0)
        if s.packing == "pairs":
            value += f" + 1i * {at(True, 0)}"
        if s.packing == "tokens":
            value += f" + 1i * {at(False, 1)}"
        return f"claim {self.member('S', 'u', 'g')} == {value}"

    def second(self) -> list[str]:
        """The intermediate result meets A."""
        s = self.s
        full = self.full_rows and self.full_out
        far = "F" if s.shares > 1 else "C"
        position = "h//H" if s.shares > 1 else "h"
        step = "T" if s.shares == 1 else "H*T"
        block = "o" if self.has("o") else ""
        turn = ("q*H" if s.shares > 1 else "q") if self.has("v") else ""
        rank = self.rank(f"(h + {turn})" if turn else "h")

        def a(half: int, second: bool) -> str:
            return self.read(
                "A", self.channel(block, position, far, half), rank + (f" + {self.far}" if second else ""), full
            )

        if s.packing == "channels":
            value = f"scale * ({a(0, False)} + 1i * {a(1, False)})"
        elif s.packing == "pairs":
            value = f"scale * ({a(0, False)} - 1i * {a(0, True)})"
        else:
            value = f"scale * {a(0, False)}"

        def indexed(name: str, extents: bool, *letters: str) -> str:
            names = {"v": ("q", "Z"), "o": ("o", "L"), "g": ("g", "G"), "u": ("u", "N")}
            indices = [names[letter] for letter in letters if self.has(letter)]
            inside = ", ".join(f"{a} < {b}" if extents else a for a, b in indices)
            return f"{name}[{inside}]" if indices else name

        lines = _wrapped(f"plain  {indexed('V', True, 'v', 'o', 'g')} = ", value)
        v = indexed("V", False, "v", "o", "g")
        sums = self.member("S", "u", "g")
        product = f"({sums} << q*{step}) * {v}" if self.has("v") else f"{sums} * {v}"
        product = self.sum("g", "G", product)
        if self.has("v"):
            by = " by bsgs(up)" if s.up > 1 else ""
            product = f"sum q < Z{by}: {product}"
        result = "Y" if s.shares == 1 else "J"
        lines.append(f"{indexed(result, True, 'u', 'o')} = {product}")
        if s.shares > 1:
            lines.append(
                f"{indexed('Y', True, 'u', 'o')} = sum f < H by {self.doubling}: {indexed('J', False, 'u', 'o')} << f*T"
            )
        lines.append("")
        where = " where h % H == 0" if s.shares > 1 else ""
        y = indexed("Y", False, "u", "o")
        for part, half_channel, half_token in self.parts():
            channel = self.channel(block, position, far, half_channel)
            lines.append(f"output y[{channel}, {self.token(half_token)}] = {part}{y}{where}")
        lines.append("prove  y == scale * A @ B @ x")
        return lines

    def parts(self) -> list[tuple[str, int, int]]:
        """Part of a result slot, and which of two channels and of two tokens it is."""
        match self.s.packing:
            case "pairs":
                return [("re ", 0, 0)]
            case "tokens":
                return [("re ", 0, 0), ("im ", 0, 1)]
            case "channels":
                return [("re ", 0, 0), ("im ", 1, 0)]
            case _:
                return [("", 0, 0)]

    def read_dense(self) -> list[str]:
        s = self.s
        where = " where h < R" if s.ranks < s.positions else ""
        y = self.member("S", "u", "g")
        rank = self.rank("h")
        lines = []
        for part, second, token in {
            "pairs": [("re ", False, 0), ("im ", True, 0)],
            "tokens": [("re ", False, 0), ("im ", False, 1)],
        }.get(s.packing, [("", False, 0)]):
            row = rank + (f" + {self.far}" if second else "")
            lines.append(f"output y[{row}, {self.token(token)}] = {part}{y}{where}")
        return [*lines, "prove  y == scale * A @ B @ x"]


def _quotient(size: str, by: str) -> str:
    """Rounded up."""
    return f"({size} + {by} - 1) // {_atom(by)}"


def _atom(text: str) -> str:
    return text if text.isalnum() else f"({text})"


def _wrapped(start: str, value: str) -> list[str]:
    """A statement on one line, or in brackets on three."""
    if len(start) + len(value) <= 118:
        return [start + value]
    return [f"{start}(", f"    {value}", ")"]
