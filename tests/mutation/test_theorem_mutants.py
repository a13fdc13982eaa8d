"""Single changes of programs whose theorems are not sums of products: verdicts are those of brute force."""

from __future__ import annotations

from collections import Counter
from random import Random

import oracle
import pytest
from amounts import one_in
from judging import disagreement, tiny, verdict
from repository import PROGRAMS

from slotlang.diagnostics import SlotError
from slotlang.meaning.bind import bind
from slotlang.mutation.mutants import mutants
from slotlang.source import Source
from slotlang.syntax.parser import parse

CORPUS = sorted((PROGRAMS / "theorems").glob("*.slot"))
EACH = 16


@pytest.mark.parametrize("path", one_in(2, CORPUS, lambda p: p.stem))
def test_verdicts_of_changed_programs(path) -> None:
    text, sizes = tiny(path)
    changed = list(mutants(parse(Source(path.name, text))))
    Random(path.stem).shuffle(changed)
    # changes of the theorem first
    changed.sort(key=lambda m: m.kind != "theorem")
    said: Counter[str] = Counter()
    for mutation in changed[: EACH // 2] + changed[-EACH:]:
        try:
            program = bind(mutation.program, sizes)
        except SlotError:
            continue
        judged = oracle.judge(mutation.program, sizes)
        for method in ("polyhedral", "exact", "auto"):
            found = verdict(program, method)  # type: ignore[arg-type]
            assert disagreement(program, found, judged) == "", (mutation.kind, mutation.after, method)
            # the polyhedral method alone multiplies out three elements of a tensor at most
            said[found.status] += method != "polyhedral"
    assert said["refuted"] > 4 and not said["unknown"]
