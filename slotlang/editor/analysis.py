"""What a text means as it stands, broken or not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType

from slotlang.diagnostics import Diagnostic, SlotError
from slotlang.editor.marks import Mark, Weight, mark_of
from slotlang.meaning.bind import Binding
from slotlang.meaning.program import Program
from slotlang.meaning.scope import Scope
from slotlang.meaning.unused import unused
from slotlang.planning.given_parameters import program_parameters
from slotlang.planning.ring import ring_note
from slotlang.source import Source, Span
from slotlang.syntax import items, tree
from slotlang.syntax.definitions import Defined, check_importable, space_of, unused_definitions
from slotlang.syntax.parser import parse
from slotlang.syntax.statements import MAX_BYTES, parse_broken

__all__ = ["Analysis", "ProgramView", "analyse"]


@dataclass(frozen=True)
class ProgramView:
    """One program of a text, as far as it can be read.

    ``statements``: those that are well formed. ``bound``: the program, None where something is wrong with it;
    ``scope``: the names that are known all the same.
    """

    header: tree.Header | None
    statements: tuple[items.Item, ...]
    start: int
    end: int
    bound: Program | None = None
    scope: Scope | None = None

    @property
    def name(self) -> str:
        """The program's name; empty without a header."""
        return self.header.name if self.header else ""


@dataclass(frozen=True)
class Analysis:
    """A text with its messages and its programs. ``definitions``: what can be called, by name."""

    source: Source
    file: items.File
    marks: tuple[Mark, ...]
    programs: tuple[ProgramView, ...]
    definitions: Mapping[str, Defined] = field(default_factory=dict)

    @property
    def right(self) -> bool:
        """Whether nothing is wrong with the text, and there is a program to prove."""
        return bool(self.programs) and all(p.bound is not None for p in self.programs)

    def program_at(self, offset: int) -> ProgramView | None:
        """The program that a place belongs to, or else the first one."""
        inside = [p for p in self.programs if p.start <= offset <= p.end]
        if inside:
            return inside[-1]
        return self.programs[0] if self.programs else None

    @cached_property
    def starts(self) -> dict[int, items.Item]:
        """Statements by where they start, those of definitions too."""
        found: dict[int, items.Item] = {}
        for item in statements_of(self.file):
            found[item.span.start] = item
        return found

    def statement_at(self, offset: int) -> items.Item | None:
        """The innermost statement around a place."""
        around = [s for s in self.starts.values() if s.span.start <= offset <= s.span.end]
        return min(around, key=lambda s: s.span.end - s.span.start, default=None)


def statements_of(file: items.File) -> Iterator[items.Item]:
    """The statements of a file, each followed by those that are written inside it."""
    for item in file.statements:
        yield item
        if isinstance(item, items.Definition) and isinstance(item.body, tuple):
            yield from item.body


def analyse(
    text: str, name: str = "<editor>", folder: str | None = None, sizes: Mapping[str, int] = MappingProxyType({})
) -> Analysis:
    """Read and bind a text, which may be broken. Never raises for what is wrong with the text: it says so in
    ``marks``. ``sizes`` take the place of those in the text; of several programs each takes those that it has."""
    source = Source(name, text, folder)
    if len(text) > MAX_BYTES or "\0" in text:
        return _refused(source)
    try:
        file, problems = parse_broken(source)
    except SlotError as refused:
        return Analysis(source, items.File(source, (), ()), _marks(refused.diagnostics, source, ()), ())
    imports = [s.span for s in file.statements if isinstance(s, items.Import)]
    if not text.strip():
        return Analysis(source, file, (), ())
    if problems:
        return Analysis(source, file, _marks(problems, source, imports), _broken(file), _definitions(file))
    views, wrong = _bound(file, sizes)
    marks = list(_marks(wrong, source, imports))
    if not wrong:
        marks += _marks(unused_definitions(source), source, imports, "warning")
        for view in views:
            if view.bound is not None:
                marks += _marks(unused(view.bound), source, imports, "warning")
            note = ring_note(view.bound) if view.bound is not None else None
            marks += _marks([note] if note is not None else [], source, imports, "information")
    return Analysis(source, file, tuple(marks), views, _definitions(file))


def _refused(source: Source) -> Analysis:
    """A text that is no program's: nothing of it is read."""
    code, message = "SL003", f"this text is longer than {MAX_BYTES:,} bytes"
    if "\0" in source.text:
        code, message = "SL002", "this text holds NUL bytes"
    mark = Mark(0, min(1, len(source.text)), "error", code, message)
    empty = Source(source.name, "", source.folder)
    return Analysis(source, items.File(empty, (), ()), (mark,), ())


def _marks(
    found: Sequence[Diagnostic], source: Source, imports: Sequence[Span], weight: Weight = "error"
) -> tuple[Mark, ...]:
    return tuple(dict.fromkeys(mark_of(d, source, imports, weight) for d in found))


def _views(file: items.File) -> list[ProgramView]:
    """The programs of a file, nothing bound. What stands above the first header belongs to its program."""
    numbers = [n for n, s in enumerate(file.statements) if isinstance(s, tree.Header)]
    views = []
    for number, first in enumerate(numbers):
        last = numbers[number + 1] if number + 1 < len(numbers) else len(file.statements)
        header = file.statements[first]
        assert isinstance(header, tree.Header)
        start = 0 if number == 0 else header.span.start
        end = len(file.source.text) if last == len(file.statements) else file.statements[last].span.start - 1
        views.append(ProgramView(header, file.statements[0 if number == 0 else first : last], start, end))
    return views


def _bound(file: items.File, sizes: Mapping[str, int]) -> tuple[tuple[ProgramView, ...], tuple[Diagnostic, ...]]:
    """The programs of a well-formed file, and what is wrong with them."""
    source, views = file.source, _views(file)
    if not views:
        try:
            if not all(isinstance(s, items.Definition | items.Import) for s in file.statements):
                parse(source).header  # noqa: B018
            check_importable(file)
        except SlotError as problem:
            return (), problem.diagnostics
        return (), ()
    made, wrong = [], list[Diagnostic]()
    for view in views:
        own = source if len(views) == 1 else replace(source, program=view.name)
        try:
            new, problems = _bind(view, parse(own), _own_sizes(views, view, sizes))
        except SlotError as problem:
            new, problems = view, problem.diagnostics
        made.append(new)
        wrong += problems
    return tuple(made), tuple(dict.fromkeys(wrong))


def _own_sizes(views: Sequence[ProgramView], view: ProgramView, sizes: Mapping[str, int]) -> Mapping[str, int]:
    if len(views) == 1 or view.header is None:
        return sizes
    named = {size.name for size in view.header.sizes}
    return {name: value for name, value in sizes.items() if name in named}


def _bind(
    view: ProgramView, syntax: tree.Program, sizes: Mapping[str, int]
) -> tuple[ProgramView, tuple[Diagnostic, ...]]:
    binding = Binding(syntax, sizes)
    try:
        program = binding.run()
        program_parameters(program)
    except SlotError as problem:
        return replace(view, scope=binding.scope), problem.diagnostics
    return replace(view, bound=program, scope=binding.scope), ()


def _broken(file: items.File) -> tuple[ProgramView, ...]:
    """The programs of a file that does not parse. What its other statements declare is known, but for those that use
    definitions."""
    views = []
    for view in _views(file):
        plain = tuple(s for s in view.statements if not isinstance(s, items.Definition | items.Import))
        binding = Binding(tree.Program(file.source, plain, ()), {})
        # a statement that is missing makes others wrong: the one message is about it
        with suppress(SlotError):
            binding.run()
        views.append(replace(view, scope=binding.scope))
    return tuple(views)


def _definitions(file: items.File) -> Mapping[str, Defined]:
    try:
        return space_of(file).names
    except SlotError:
        return {}
