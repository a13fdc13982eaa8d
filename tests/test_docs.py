"""The documents are true: every command, program and statement in README.md and docs/ is run.

- ```sh blocks: every command ends with the exit status that `# exit status N` says (0 where nothing does);
- ```console blocks: `$ ` starts a command, the lines below are its output. Times, measured errors and column
  widths may differ; a line `...` stands for any lines;
- ```python blocks run, those of one page in one namespace; a ```text block right behind one is what it prints;
- ```slot blocks: a whole program has the verdict of its `# expect:` line (proved where it has none). Statements
  are put before the outputs of the page's first whole program, or, in the tutorial, stand in one of its files;
- a table whose first column is headed "wrong statement" gives each statement's diagnostic code.

A block after `<!-- not run: reason -->` is left out: `make`, `git clone`, and what another test runs. So is a command
with its ```json behind it: tests/cli/test_json.py runs it. The commands of a section are one test, in a folder of its
own that looks like the repository, with an empty `build`: a section needs nothing that another one wrote.
``SLOTLANG_UPDATE_GOLDEN=1 pytest tests/test_docs.py`` writes the output of console blocks anew; read the
difference before keeping it.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from repository import ROOT

from slotlang.api import check, cost, load, loads
from slotlang.cli import main
from slotlang.codes import EXPLANATIONS
from slotlang.diagnostics import SlotError

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TUTORIAL = sorted((ROOT / "docs" / "tutorial").glob("*.slot"))
UPDATE = bool(os.environ.get("SLOTLANG_UPDATE_GOLDEN"))
TIMEOUT = 60
COLUMNS = "132"
SMALLER = {
    "--d-in 384 --d-out 384 --rank 8 --batch 8 ": "--d-in 32 --d-out 32 --rank 4 --batch 4 ",
    "--d-in 1024 --d-out 1024 --rank 8 ": "--d-in 64 --d-out 64 --rank 4 ",
    "optimize programs/flat_diagonals.slot ": "optimize programs/flat_diagonals.slot --set d=60 --set m=8 --set n=64 ",
}
"""Sizes of commands that take more than 5 s, and what stands for them in `make test`. A slow test takes the sizes."""
ELSEWHERE = (
    "python docs/make_corpus.py",
    "python docs/make_seed_claims.py",
    "python docs/make_optimize_table.py",
    "slotlang adapter build examples/minilm_adapter --tokens 8 --precision 1e-3 -o service",
    "python examples/minilm_service.py",
)
"""Commands that other tests run: those that write pages, the build, and the example of a service."""

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_JSON_BEHIND = re.compile(r"```\s*```json\n")
_TEXT_BEHIND = re.compile(r"```\s*```text\n")
_NOT_RUN = re.compile(r"<!-- not run: [^\n]+ -->\s*\Z")
_STATUS = re.compile(r"\s*# exit status (\d+)\s*$")
_SIMPLE = re.compile(r"slotlang [^|&;<>$`\\*?]*\Z")
_READING = re.compile(r"slotlang (check|cost|compare|show) (?!.*(build/| -o | --certificate ))")
_UNRUNNABLE = re.compile(
    r"(make|git clone|cd|pip install|pipx|uv|python3 -m venv|curl|dask|docker|export"
    r"|slotlang (serve|client|token|view|puzzle view))\b"
)
_VOLATILE = (
    (re.compile(r"\b\d+(\.\d+)? (ms|s)\b"), "TIME"),
    (re.compile(r"\b\d\.\de[-+]\d\d\b"), "ERROR"),
    (re.compile(r"\b\d+(\.\d+)? (kB|MB)  (?=evaluation keys|upload|download)"), "BYTES  "),
    (re.compile(r"[ \t]+"), " "),
)


_done: dict[str, tuple[int, list[str]]] = {}
"""What simple commands printed: several pages have the same commands on files of the repository, which none writes."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, with the place of its text."""

    page: Path
    language: str
    text: str
    start: int
    line: int
    run: bool
    section: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@dataclass(frozen=True)
class Command:
    """A command with its exit status and, in a console block, the output that the page shows."""

    text: str
    status: int
    output: list[str] | None


def blocks(page: Path, *languages: str) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    prose = _BLOCK.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
    headings = [(match.start(), match[1]) for match in _HEADING.finditer(prose)]
    return [
        Block(
            page,
            match[1],
            match[2],
            match.start(2),
            text.count("\n", 0, match.start()) + 1,
            not _NOT_RUN.search(text, 0, match.start()),
            next((heading for start, heading in reversed(headings) if start < match.start()), ""),
        )
        for match in _BLOCK.finditer(text)
        if match[1] in languages
    ]


def commands(block: Block) -> list[Command]:
    """The commands of a block. A statement of the status stands behind a command or on a line of its own below. A
    here-document, up to a line ``END``, belongs to its command."""
    found: list[Command] = []
    lines = iter(block.text.splitlines())
    for line in lines:
        if line.endswith("<<'END'"):
            whole = [line.removeprefix("$ "), *takewhile(lambda inside: inside != "END", lines), "END"]
            found.append(Command("\n".join(whole), 0, [] if block.language == "console" else None))
            continue
        status = _STATUS.search(line)
        words = line[: status.start()] if status else line
        code = int(status[1]) if status else 0
        if status and not words.strip():
            found[-1] = Command(found[-1].text, code, found[-1].output)
        elif block.language == "console" and not line.startswith("$ "):
            output = found[-1].output
            assert output is not None
            output.append(line)
        elif words.strip() and not words.startswith("#"):
            output = [] if block.language == "console" else None
            found.append(Command(words.removeprefix("$ ").strip(), code, output))
    return found


def plain(line: str) -> str:
    """A line of output without what differs from run to run."""
    for pattern, word in _VOLATILE:
        line = pattern.sub(word, line)
    return line.strip()


def matches(found: list[str], shown: list[str]) -> bool:
    """Whether the output is what the page shows, `...` standing for any lines. Times and errors may differ, except
    where pages are written anew."""
    if UPDATE and "..." not in shown:
        return [line.rstrip() for line in found] == [line.rstrip() for line in shown]
    text = "\n".join(plain(line) for line in found).strip()
    parts = [r"[^\n]*(?:\n[^\n]*)*" if line.strip() == "..." else re.escape(plain(line)) for line in shown]
    return re.fullmatch("\n".join(parts).strip(), text) is not None


def without_compiling(lines: list[str]) -> list[str]:
    """Output without the line that only the first run on a machine has."""
    return [line for line in lines if "to compile kernels for this machine" not in line]


def of_the_repository(command: str) -> bool:
    """Whether the programs of a command are files of the repository, and not those that a page writes."""
    return all((ROOT / word).is_file() for word in command.split() if word.endswith(".slot"))


def execute(command: str, monkeypatch: pytest.MonkeyPatch) -> tuple[int, list[str]]:
    """Exit status and output, both streams together. `slotlang` runs in this process, which saves its start."""
    bin = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for name, value in {"PATH": bin, "COLUMNS": COLUMNS, "TERM": "dumb", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    if _SIMPLE.match(command):
        if _READING.match(command) and command in _done and of_the_repository(command):
            return _done[command]
        said = io.StringIO()
        monkeypatch.setattr(sys, "argv", shlex.split(command))
        code: object = None
        with redirect_stdout(said), redirect_stderr(said):
            try:
                main()
            except SystemExit as end:
                code = end.code
            except Exception:
                traceback.print_exc()
                code = 1
        status = code if isinstance(code, int) else int(code is not None)
        _done[command] = status, without_compiling(said.getvalue().splitlines())
        return _done[command]
    done = subprocess.run(
        ["bash", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT,
    )
    return done.returncode, without_compiling(done.stdout.splitlines())


def ids(path: Path) -> str:
    return path.name


every_page = pytest.mark.parametrize("page", PAGES, ids=ids)


def sections() -> Iterator[Any]:
    """The blocks of commands that are run, by page and section; one parameter of a test each."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        found: dict[str, list[Block]] = {}
        for block in blocks(page, "sh", "console"):
            if block.run and not _JSON_BEHIND.match(text, block.start + len(block.text)):
                found.setdefault(block.section, []).append(block)
        for name, its_blocks in found.items():
            yield pytest.param(its_blocks, id=f"{page.name}-{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')}")


@pytest.fixture
def like_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: the repository's files, and a `build` that no other test writes into."""
    for path in ROOT.iterdir():
        if path.name != "build" and not path.name.startswith("."):
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / "build").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def is_slow(block: Block) -> bool:
    return any(sizes in command.text for sizes in SMALLER for command in commands(block))


def quick_sections() -> Iterator[Any]:
    """Sections with smaller sizes, where they take long; of pages other than the README such sections are slow."""
    for section in sections():
        slow = any(map(is_slow, section.values[0])) and not section.id.startswith("README")
        yield pytest.param(*section.values, id=section.id, marks=[pytest.mark.slow] * slow)


@pytest.mark.parametrize("section", list(quick_sections()))
def test_commands(section: list[Block], like_the_repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_section(section, monkeypatch, smaller=True)


@pytest.mark.slow
@pytest.mark.parametrize("section", [p for p in sections() if any(map(is_slow, p.values[0]))])
def test_commands_at_their_sizes(
    section: list[Block], like_the_repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_section(section, monkeypatch, smaller=False)


def test_every_smaller_size_stands_for_a_command() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert [sizes for sizes in SMALLER if sizes not in text] == []


def smaller_command(command: Command) -> Command:
    """The command, or what stands for it; nothing is said of a stand-in's output."""
    text = command.text
    for sizes, small in SMALLER.items():
        text = text.replace(sizes, small)
    return command if text == command.text else Command(text, command.status, None)


def run_section(section: list[Block], monkeypatch: pytest.MonkeyPatch, *, smaller: bool) -> None:
    wrong: list[str] = []
    for block in section:
        for command in map(smaller_command, commands(block)) if smaller else commands(block):
            if _UNRUNNABLE.match(command.text) or command.text in ELSEWHERE:
                wrong.append(f"{block}: no test runs `{command.text}`; <!-- not run: reason --> says so")
                continue
            status, output = execute(command.text, monkeypatch)
            said = "\n".join(output)
            if status != command.status:
                wrong.append(f"{block}: `{command.text}` ended with exit status {status}\n{said}")
            elif command.output is not None and not matches(output, command.output):
                wrong.append(f"{block}: `{command.text}` printed\n{said}")
                if UPDATE and "..." not in command.output:
                    rewrite(block.page, command, output)
    assert not wrong, "\n\n".join(wrong)


def rewrite(page: Path, command: Command, output: list[str]) -> None:
    """Put what a command printed in the place of what the page shows."""
    text = page.read_text(encoding="utf-8")
    assert command.output is not None
    shown = "".join(f"{line}\n" for line in command.output)
    start = re.search(rf"^\$ {re.escape(command.text)}.*\n", text, re.MULTILINE)
    assert start is not None and text.startswith(shown, start.end()), f"{page.name}: `{command.text}`"
    blank = "\n" if shown.endswith("\n\n") else ""
    new = "".join(f"{line.rstrip()}\n" for line in output).rstrip("\n") + "\n" + blank
    page.write_text(text[: start.end()] + new + text[start.end() + len(shown) :], encoding="utf-8")


@every_page
def test_what_is_not_run_can_not_be(page: Path) -> None:
    for block in blocks(page, "sh", "console"):
        if not block.run:
            for command in commands(block):
                known = command.text in ELSEWHERE or _UNRUNNABLE.match(command.text)
                assert known, f"{block}: `{command.text}` could be run"


@every_page
def test_python(page: Path, like_the_repository: Path) -> None:
    namespace: dict[str, object] = {"__name__": page.stem}
    text = page.read_text(encoding="utf-8")
    outputs = {block.start: block for block in blocks(page, "text")}
    wrong: list[str] = []
    for block in blocks(page, "python"):
        printed = io.StringIO()
        with redirect_stdout(printed):
            exec(compile("\n" * block.line + block.text, str(page), "exec"), namespace)
        behind = _TEXT_BEHIND.match(text, block.start + len(block.text))
        if behind is None:
            continue
        said, shown = printed.getvalue(), outputs[behind.end()].text
        if not matches(said.splitlines(), shown.splitlines()):
            wrong.append(f"{block} printed\n{said}")
            if UPDATE:
                before = text[block.start : behind.end()]
                new = page.read_text(encoding="utf-8").replace(before + shown, before + said)
                page.write_text(new, encoding="utf-8")
    assert not wrong, "\n\n".join(wrong)


# Programs in pages


def is_whole(text: str) -> bool:
    return any(line.startswith("program ") for line in text.splitlines())


def verdict(text: str, name: str) -> str:
    """The verdict on a program, or the code of its first diagnostic."""
    try:
        return check(loads(text, name=name)).status
    except SlotError as problem:
        return problem.diagnostics[0].code


def expected(text: str) -> str:
    found = re.match(r"# expect: (\w+)\n", text)
    return found[1] if found else "proved"


def context(page: Path) -> str:
    """The first whole program of a page."""
    return next(b.text for b in blocks(page, "slot") if is_whole(b.text))


def inside(program: str, statements: str) -> str:
    """A program with statements added before its outputs."""
    before, output, after = program.partition("\noutput ")
    return f"{before}\n{statements}{output}{after}"


@every_page
def test_programs(page: Path) -> None:
    for block in blocks(page, "slot"):
        text = block.text
        if not block.run:
            continue
        if is_whole(text):
            assert verdict(text, str(block)) == expected(text), str(block)
        elif page.stem == "tutorial":
            lines = {line for path in TUTORIAL for line in path.read_text(encoding="utf-8").splitlines()}
            missing = [line for line in text.splitlines() if line not in lines]
            assert not missing, f"{block}: in no program of the tutorial: {missing}"
        else:
            assert verdict(inside(context(page), text), str(block)) == "proved", str(block)


def wrong_statements(page: Path) -> Iterator[tuple[str, str]]:
    """Rows of tables headed `wrong statement`: a statement and its code. `; ` stands for a new line."""
    in_table = False
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
        if not line.startswith("|"):
            in_table = False
        elif cells[0] == "wrong statement":
            in_table = True
        elif in_table and (found := re.match(r"`(.+)`$", cells[0])):
            yield found[1].replace("; ", "\n").replace(r"\|", "|"), cells[1]


@every_page
def test_wrong_statements(page: Path) -> None:
    for statement, code in wrong_statements(page):
        assert verdict(inside(context(page), f"{statement}\n"), page.name) == code, f"{page.name}: {statement}"


@every_page
def test_codes_exist(page: Path) -> None:
    codes = set(re.findall(r"\bSL\d{3}\b", page.read_text(encoding="utf-8")))
    assert codes <= set(EXPLANATIONS)


@every_page
def test_no_page_names_a_machine(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not re.findall(r"(?<![\w.])/(?:home|root|tmp|work|Users|var|opt)\b[^\s`]*|[A-Z]:\\\S*", text)


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"`[^`\n]+`", "", _BLOCK.sub("", page.read_text(encoding="utf-8")))
    links = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_key_of_cost_is_explained() -> None:
    text = (ROOT / "docs" / "cost.md").read_text(encoding="utf-8")
    table = text.partition("| key | meaning |")[2].partition("\n\n")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    keys = [key for row in rows for key in re.findall(r"`(\w+)`", row)]
    shown = cost(load(ROOT / "docs" / "tutorial" / "diagonals.slot")).to_json()
    counts = shown["counts"]
    assert isinstance(counts, dict)
    assert sorted(keys) == sorted([*shown, *counts])


# The tutorial's programs


@pytest.mark.parametrize("path", TUTORIAL, ids=ids)
def test_tutorial_program(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# expect: ")
    assert verdict(text, path.name) == expected(text)


def test_every_tutorial_program_is_used() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert [path.name for path in TUTORIAL if f"tutorial/{path.name}" not in text] == []


def test_no_page_edits_files_with_what_one_system_has_alone() -> None:
    # `sed -i` and `\n` in what it puts in are GNU's
    for page in PAGES:
        assert not [c for b in blocks(page, "sh", "console") for c in commands(b) if "sed -i" in c.text], page.name
