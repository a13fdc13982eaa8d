"""Whatever is typed: the server lives, answers, and shows no verdict but that on the text as it stands."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest
from editor_client import PROGRAMS, SMALL, WRONG, Client
from lsprotocol import types

from slotlang.editor.text import Text
from slotlang.editor.tokens import tokens

pytestmark = pytest.mark.asyncio(loop_scope="module")

TEXTS = [path.read_text() for path in sorted(PROGRAMS.rglob("*.slot"))]


def whole(text: Text) -> types.Range:
    end = text.end("utf-16")
    return types.Range(types.Position(0, 0), types.Position(end.line, end.column))


def partial(text: Text, start: int, end: int, new: str) -> tuple[types.TextDocumentContentChangePartial, Text]:
    """A change of the text between two offsets of its own characters, as an editor sends it."""
    plain = Text(text.plain)
    first, last = plain.place(start, "utf-16"), plain.place(end, "utf-16")
    change = types.TextDocumentContentChangePartial(
        types.Range(types.Position(first.line, first.column), types.Position(last.line, last.column)), new
    )
    return change, Text(text.plain[:start] + new + text.plain[end:])


SIGNS = [*"()[]<>=+-*/%@:,.#\n \t\"'|&^~", "<<", ">>", "**", "\r\n", "α", "𝔖", "\u2028", "\x0c", "\0", "é"]
WORDS = [
    "sum",
    "program",
    "end",
    "def f(a):\n",
    "import",
    "prove",
    "by horner",
    "0",
    "999999999999",
    "x",
    "X",
    "n",
    "q",
]


def edited(chance: random.Random, text: Text) -> tuple[types.TextDocumentContentChangePartial, Text]:
    """One random edit: typed, deleted, pasted, moved, or taken from another program."""
    plain = text.plain
    at = chance.randrange(len(plain) + 1)
    match chance.randrange(8):
        case 0 | 1:
            return partial(text, at, at, chance.choice(SIGNS))
        case 2:
            return partial(text, at, min(len(plain), at + chance.randrange(1, 12)), "")
        case 3:
            return partial(text, at, at, f" {chance.choice(WORDS)} ")
        case 4:
            lines = plain.split("\n")
            start = len("\n".join(lines[: chance.randrange(len(lines))]))
            return partial(text, start, start, "\n" + chance.choice(lines))
        case 5:
            found = [t for t in tokens(plain) if t.kind in ("name", "number", "sign")]
            if not found:
                return partial(text, at, at, "x")
            token = chance.choice(found)
            return partial(text, token.start, token.end, chance.choice(found).text)
        case 6:
            return partial(text, at, at, chance.choice(chance.choice(TEXTS).split("\n")) + "\n")
        case _:
            return partial(text, 0, len(plain), chance.choice(TEXTS))


async def asked(client: Client, uri: str, text: Text, chance: random.Random) -> None:
    """Questions at a random place, some of them beyond the text."""
    which = types.TextDocumentIdentifier(uri)
    at = types.Position(chance.randrange(60), chance.randrange(90))
    calls: list[Any] = [
        lambda: client.text_document_completion_async(types.CompletionParams(which, at)),
        lambda: client.text_document_definition_async(types.DefinitionParams(which, at)),
        lambda: client.text_document_document_symbol_async(types.DocumentSymbolParams(which)),
        lambda: client.text_document_semantic_tokens_full_async(types.SemanticTokensParams(which)),
        lambda: client.text_document_signature_help_async(types.SignatureHelpParams(which, at)),
        lambda: client.text_document_code_lens_async(types.CodeLensParams(which)),
        lambda: client.text_document_folding_range_async(types.FoldingRangeParams(which)),
        lambda: client.text_document_code_action_async(
            types.CodeActionParams(which, types.Range(at, at), types.CodeActionContext([]))
        ),
    ]
    await chance.choice(calls)()


async def random_edits(client: Client, uri: str, seed: int, number: int) -> None:
    chance = random.Random(seed)
    text = Text(chance.choice(TEXTS))
    client.open(uri, text.text)
    for step in range(number):
        change, text = edited(chance, text)
        if len(text.plain) > 6000:
            change, text = partial(text, 0, len(text.plain), chance.choice(TEXTS))
        client.change(uri, change)
        if step % 10 == 0:
            await asked(client, uri, text, chance)
        if step % 50 == 0:
            await client.diagnosed(uri)
    # the server has the very text that the client has: both read the same in it
    from slotlang.editor.analysis import analyse

    last = text.plain + "\n" + SMALL.replace("program small", "program last_one")
    end = whole(text).end
    client.change(uri, types.TextDocumentContentChangePartial(types.Range(end, end), last[len(text.plain) :]))
    status = await client.settled(uri)
    expected = analyse(last)
    assert status.stage == "settled"
    assert {d.message for d in client.diagnostics[uri] if d.code not in ("refuted", "unknown", "tested")} == {
        m.message for m in expected.marks
    }
    check_never_stale(client, uri)


def check_never_stale(client: Client, uri: str) -> None:
    """Versions never go back, and no verdict is told of one after another one was told of."""
    versions = [version for version, _ in client.said[uri] if version is not None]
    assert versions == sorted(versions)
    statuses = [status.version for status in client.statuses[uri]]
    assert statuses == sorted(statuses)


async def test_random_edits(client: Client, small: str) -> None:
    await random_edits(client, small, 1, 150)


@pytest.mark.slow
async def test_five_thousand_random_edits(client: Client, small: str) -> None:
    await random_edits(client, small, 2, 5000)
    client.open(small + "x", SMALL)
    status = await client.settled(small + "x")
    assert [p.verdict for p in status.programs] == ["proved"]


async def test_no_verdict_is_stale(client: Client, small: str) -> None:
    """Right and wrong in turns, at every pace: what is told of a version is the verdict on its text."""
    chance = random.Random(7)
    client.open(small, SMALL)
    right = {1: True}
    for step in range(30):
        wrong = chance.random() < 0.5
        text = (WRONG if wrong else SMALL) + f"# {step}\n"
        right[client.replace(small, text)] = not wrong
        if chance.random() < 0.3:
            await client.settled(small)
        elif chance.random() < 0.5:
            await client.diagnosed(small)
    await client.settled(small)
    told = 0
    for status in client.statuses[small]:
        for program in status.programs:
            assert program.verdict == ("proved" if right[status.version] else "refuted"), status
            told += 1
    assert told > 5
    for version, diagnostics in client.said[small]:
        assert version is not None
        refuted = any(d.code == "refuted" for d in diagnostics)
        assert not (refuted and right[version])
    check_never_stale(client, small)


async def test_every_key_of_a_program(client: Client, small: str) -> None:
    """A program typed from its first sign to its last."""
    client.open(small, "")
    for end in range(1, len(SMALL) + 1, 3):
        client.replace(small, SMALL[:end])
    client.replace(small, SMALL)
    status = await client.settled(small)
    assert [p.verdict for p in status.programs] == ["proved"]
    assert not client.diagnostics[small]


async def prefixes(client: Client, uri: str, found: list[str]) -> None:
    """Each prefix is read, answers whoever asks at its end, and leaves the server as it was."""
    client.open(uri, "")
    which = types.TextDocumentIdentifier(uri)
    for text in found:
        client.replace(uri, text)
        lines = text.split("\n")
        at = types.Position(len(lines) - 1, len(lines[-1]))
        completion = await client.text_document_completion_async(types.CompletionParams(which, at))
        assert isinstance(completion, types.CompletionList)
    messages = {d.message for _, marks in client.said[uri] for d in marks if d.code == "server"}
    assert not messages
    client.replace(uri, SMALL)
    status = await client.settled(uri)
    assert [p.verdict for p in status.programs] == ["proved"]


def all_prefixes() -> list[str]:
    """Every program of the corpus up to each of its words and signs."""
    return [text[: token.end] for text in TEXTS for token in tokens(text) if token.kind != "comment"]


async def test_some_prefixes_of_programs(client: Client, small: str) -> None:
    await prefixes(client, small, random.Random(3).sample(all_prefixes(), 25))


@pytest.mark.slow
async def test_every_prefix_of_every_program(client: Client, small: str) -> None:
    found = all_prefixes()
    assert len(found) > 3000
    await prefixes(client, small, found)


async def test_a_megabyte(client: Client, small: str) -> None:
    """A text that is as long as one may be does not keep another one from being read."""
    line = "let a{} = n + 1\n"
    many = "program p(n = 4)\n" + "".join(line.format(k) for k in range(60_000))
    client.open(small + "large", many[:999_990])
    client.open(small, SMALL)
    start = time.monotonic()
    which = types.TextDocumentIdentifier(small + "large")
    # it is given up on when it changes, and what is too long is refused
    client.change(
        small + "large", types.TextDocumentContentChangePartial(types.Range(*[types.Position(0, 0)] * 2), "#")
    )
    client.replace(small + "large", many + many)
    (found,) = await client.diagnosed(small + "large")
    assert found.code == "SL003"
    await client.text_document_document_symbol_async(types.DocumentSymbolParams(which))
    status = await client.settled(small)
    assert [p.verdict for p in status.programs] == ["proved"]
    assert time.monotonic() - start < 60


LARGE = {
    "many slots": SMALL.replace("n = 4, m = 2", "n = 1048576, m = 1024"),
    "many members": SMALL.replace("n = 4, m = 2", "n = 40000, m = 2"),
    "a power": SMALL.replace("n = 4", "n = 2**30"),
    "many claims": SMALL + "".join("claim Y == sum q < n: (X << q*m) * D[q]\n" for _ in range(300)),
    "deep": "program p(n = 4)\nlet a = " + "(" * 140 + "n" + ")" * 140 + "\n",
    "long": "program p(n = 4)\nlet a = " + " + ".join(["n"] * 20_000) + "\n",
}


@pytest.mark.parametrize("name", LARGE)
async def test_large_sizes(client: Client, small: str, name: str) -> None:
    """Hovering is answered or given up, and the next change is read as quickly as any."""
    text = LARGE[name]
    client.open(small, text)
    await client.diagnosed(small)
    which = types.TextDocumentIdentifier(small)
    line = text[: text.index("Y = ")].count("\n") if "Y = " in text else 1
    at = types.Position(line, 0)
    hover = client.text_document_hover_async(types.HoverParams(which, at))
    client.replace(small, SMALL)
    start = time.monotonic()
    await client.diagnosed(small)
    assert time.monotonic() - start < 20
    await hover
    status = await client.settled(small)
    assert [p.verdict for p in status.programs] == ["proved"]


async def test_workers_that_die(client: Client, small: str) -> None:
    """Processes of the server that end are started again."""
    import os
    import signal
    import subprocess

    client.open(small, SMALL)
    await client.settled(small)
    server = client._server
    assert server is not None
    for turn in range(2):
        listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(server.pid)], capture_output=True, text=True).stdout
        below = subprocess.run(
            ["ps", "-o", "pid=,args=", "--ppid", ",".join(listed.split())], capture_output=True, text=True
        ).stdout.splitlines()
        workers = [int(entry.split()[0]) for entry in below]
        assert len(workers) >= 2
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        client.replace(small, SMALL + f"# {turn}\n")
        status = await client.settled(small)
        assert [p.verdict for p in status.programs] == ["proved"]


async def test_nonsense(client: Client, small: str) -> None:
    """Requests about texts that are not open, and changes of them."""
    which = types.TextDocumentIdentifier("file:///never/opened.slot")
    at = types.Position(1, 1)
    assert await client.text_document_hover_async(types.HoverParams(which, at)) is None
    assert await client.text_document_completion_async(types.CompletionParams(which, at)) is None
    assert await client.text_document_code_lens_async(types.CodeLensParams(which)) is None
    client.versions[which.uri] = 1
    client.replace(which.uri, "x")
    client.text_document_did_close(types.DidCloseTextDocumentParams(which))
    client.open(small, SMALL)
    client.text_document_did_close(types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(small)))
    client.open(small, WRONG)
    await client.settled(small)
    assert [d.code for d in client.diagnostics[small]] == ["refuted"]
