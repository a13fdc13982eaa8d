"""A key to messages and to the verdict, through the protocol: ``python -m benchmarks.editor [FILE...]``.

A client types into a program as an editor does: a bracket behind its last statement, which is taken away again, with
the requests for words, outline, folds and completions that an editor makes after a change; then comments at its start.
Times are from the change being sent to the diagnostics, and to the status with a verdict, of that very version. Without
files: ``PROGRAMS``. Exit status 1 when a median is above the goal.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lsprotocol import types
from pygls.lsp.client import LanguageClient

ROOT = Path(__file__).resolve().parent.parent
OUT = Path(__file__).resolve().parent / "editor.json"
PROGRAMS = ("rank_complex", "seed/rank_contiguous_fixed", "layers/chebyshev", "flat_diagonals", "seed/outer_products")
KEYS = 40
VERDICTS = 8
TO_MESSAGES, TO_VERDICT = 0.025, 1.0
"""The goals, in seconds."""


@dataclass(frozen=True)
class Times:
    """Of one program, in milliseconds. ``fastest``: the machine's fast moments; other processes only add to a time."""

    program: str
    characters: int
    verdict: str
    messages_fastest: float
    messages_median: float
    messages_worst: float
    verdict_fastest: float
    verdict_median: float
    verdict_worst: float


class Watcher(LanguageClient):
    """A client that knows when what was said of which version."""

    def __init__(self) -> None:
        super().__init__("benchmark", "1")
        self.told: dict[tuple[str, int], float] = {}
        self.verdicts: dict[int, str] = {}
        self.news = asyncio.Event()

        @self.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        def published(params: types.PublishDiagnosticsParams) -> None:
            self._tell("messages", params.version or 0)

        @self.feature("slotlang/status")
        def status(params: Any) -> None:
            if params.programs:
                self.verdicts[params.version] = params.programs[0].verdict
                self._tell("verdict", params.version)

    def _tell(self, what: str, version: int) -> None:
        self.told.setdefault((what, version), time.perf_counter())
        self.news.set()

    async def until(self, what: str, version: int) -> float:
        """When it was told."""
        while (what, version) not in self.told:
            self.news.clear()
            await asyncio.wait_for(self.news.wait(), 120)
        return self.told[what, version]


async def measure(client: Watcher, path: Path) -> Times:
    """One program, typed into."""
    client.told.clear()
    uri, text = path.as_uri(), path.read_text()
    item = types.TextDocumentItem(uri, "slot", 1, text)
    client.text_document_did_open(types.DidOpenTextDocumentParams(item))
    await client.until("verdict", 1)
    which, version = types.TextDocumentIdentifier(uri), 1
    line = next(n for n, one in reversed(list(enumerate(text.split("\n")))) if one and one[0] not in "#")
    end = len(text.split("\n")[line].partition("#")[0].rstrip())
    taken: dict[str, list[float]] = {"messages": [], "verdict": []}
    for key in range(KEYS + 2):
        version += 1
        # a bracket is opened behind the last statement, and taken away
        typed = key % 2 == 0
        at = types.Position(line, end)
        change = types.TextDocumentContentChangePartial(
            types.Range(at, at if typed else types.Position(line, end + 1)), "(" if typed else ""
        )
        start = await _change(client, uri, version, change)
        requests = [
            client.text_document_semantic_tokens_full_async(types.SemanticTokensParams(which)),
            client.text_document_document_symbol_async(types.DocumentSymbolParams(which)),
            client.text_document_folding_range_async(types.FoldingRangeParams(which)),
            client.text_document_completion_async(types.CompletionParams(which, types.Position(line, end))),
        ]
        taken["messages"].append(await client.until("messages", version) - start)
        await asyncio.gather(*requests)
    for key in range(VERDICTS):
        version += 1
        change = types.TextDocumentContentChangePartial(types.Range(*[types.Position(0, 0)] * 2), f"# {key}\n")
        start = await _change(client, uri, version, change)
        taken["messages"].append(await client.until("messages", version) - start)
        taken["verdict"].append(await client.until("verdict", version) - start)
        await asyncio.sleep(0.2)
    client.text_document_did_close(types.DidCloseTextDocumentParams(which))

    def three(what: str, skip: int) -> tuple[float, float, float]:
        times = [1000 * t for t in taken[what][skip:]]
        return round(min(times), 1), round(statistics.median(times), 1), round(max(times), 1)

    name = str(path.relative_to(ROOT / "programs")) if path.is_relative_to(ROOT) else path.name
    return Times(name, len(text), client.verdicts[version], *three("messages", 2), *three("verdict", 0))


async def _change(client: Watcher, uri: str, version: int, change: types.TextDocumentContentChangePartial) -> float:
    which = types.VersionedTextDocumentIdentifier(version, uri)
    start = time.perf_counter()
    client.text_document_did_change(types.DidChangeTextDocumentParams(which, [change]))
    return start


async def run(paths: list[Path]) -> list[Times]:
    """All programs, with one server."""
    client = Watcher()
    await client.start_io(sys.executable, "-m", "slotlang", "lsp")
    start = time.perf_counter()
    await client.initialize_async(types.InitializeParams(types.ClientCapabilities(), process_id=None, root_uri=None))
    client.initialized(types.InitializedParams())
    print(f"initialized after {1000 * (time.perf_counter() - start):.0f} ms")
    found = []
    for path in paths:
        found.append(await measure(client, path.resolve()))
        t = found[-1]
        keys = f"{t.messages_fastest} at best, {t.messages_median} in the median, {t.messages_worst} at worst"
        verdicts = f"{t.verdict_fastest}, {t.verdict_median}, {t.verdict_worst}"
        print(f"{t.program} ({t.verdict}): messages after {keys}; the verdict after {verdicts} ms", flush=True)
    await client.shutdown_async(None)
    client.exit(None)
    await client.stop()
    return found


def main() -> int:
    """Measure, print, and write ``editor.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    arguments = parser.parse_args()
    paths = arguments.files or [ROOT / "programs" / f"{name}.slot" for name in PROGRAMS]
    found = asyncio.run(run(paths))
    made = {"machine": platform.processor() or platform.machine(), "programs": [asdict(t) for t in found]}
    OUT.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
    slow = [t for t in found if t.messages_median > 1000 * TO_MESSAGES or t.verdict_median > 1000 * TO_VERDICT]
    for t in slow:
        print(f"above the goal: {t.program}", file=sys.stderr)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
