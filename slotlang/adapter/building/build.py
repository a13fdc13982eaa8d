"""A whole adapter as a folder that a server serves: programs, one set of parameters and of keys, encoded weights."""

from __future__ import annotations

import re
import shutil
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slotlang.adapter.building.common import Wanted, common
from slotlang.adapter.building.encoding import Bytes, encoded, files_of, written
from slotlang.adapter.building.folder import Folder, State
from slotlang.adapter.building.layout import GroupShape
from slotlang.adapter.building.shared import Group
from slotlang.adapter.building.sizes import Samples, sizes_of
from slotlang.adapter.building.work import Work, made_with
from slotlang.diagnostics import Diagnostic, SlotError, error
from slotlang.emit.loaded import load_module
from slotlang.files import read_regular
from slotlang.lower import Lowered, lower
from slotlang.planning.compact import compact_form
from slotlang.planning.parameters import Parameters
from slotlang.proof.certificate import certificate
from slotlang.refusals import Unreachable
from slotlang.service.manifest import File, Keys, LoraUpdate, Manifest, Program
from slotlang.service.manifest import Group as BuiltGroup
from slotlang.source import Source
from slotlang.validation.check import check_module
from slotlang_runtime.amounts import count_of
from slotlang_runtime.errors import BELOW_PRECISION, BEYOND_PROMISE
from slotlang_runtime.module import Module
from slotlang_runtime.weights import load_kernels

THREADS = 2
"""Groups that are encoded at once: what Python itself does of an encoding keeps no more busy."""

SPARE_BYTES = 1 << 28
"""Of the disk, that are left free."""


@dataclass(frozen=True)
class Built:
    """What a build did. ``reused``: files of weights that an earlier build had written; ``changed``: whether anything
    was written; ``proved``: ids of the programs that this process has proved. ``zeros``: of the ``plaintexts``, those
    that are zero everywhere and are not multiplied. ``warnings``: of weights with which errors are larger than
    promised."""

    manifest: Manifest
    path: Path
    reused: int
    changed: bool
    proved: frozenset[str]
    zeros: int
    plaintexts: int
    warnings: Sequence[Diagnostic] = field(default=())


def build(
    work: Work,
    path: Path,
    name: str,
    progress: Callable[[str, float], None] = lambda what, done: None,
    *,
    threads: int = THREADS,
    force: bool = False,
) -> Built:
    """Build into the folder ``path``, or go on where an earlier build of the same stopped; the same adapter built again
    changes nothing. ``progress``: what is done, and the part of all work that is. ``force``: take the place of what
    another adapter or another version built.

    Raises SL551 and SL552 for a folder that can't be built into, SL554 where the disk is too small, SL451 where no
    parameters have the precision, SL004 for what can't be written.
    """
    folder = Folder(path)
    with folder.locked():
        return _Build(work, folder, name, progress, threads, force).run()


class _Build:
    def __init__(
        self, work: Work, folder: Folder, name: str, progress: Callable[[str, float], None], threads: int, force: bool
    ) -> None:
        self.work, self.folder, self.name, self.threads = work, folder, name, threads
        self.progress = progress
        self.state = folder.state(work.key, made_with(), work.source.sha256, force=force)
        self.changed = False
        self.reused = 0
        self.modules: dict[str, Module] = {}
        # the part of the work that is for programs
        self.first = 1 - min(max(work.plaintexts * 2e-3 / max(work.seconds, 1e-9), 0.05), 0.95)

    def run(self) -> Built:
        """All of it."""
        before = self._manifest_before()
        if not self._programs_hold():
            self._check_room()
            self.state = State(self.state.key, self.state.made_with, self.state.adapter)
            self._make_programs()
        self._encode()
        manifest = self._manifest()
        if before is None or before.with_version() != manifest.with_version() or before.name != manifest.name:
            manifest = manifest.write(self.folder.path)
            self.changed = True
        kept = {p.file.path for p in manifest.programs} | {g.weights.path for g in manifest.groups}
        kept |= {g.gates.path for g in manifest.groups if g.gates is not None}
        self.folder.clean(kept | {p.certificate for p in manifest.programs if p.certificate})
        records = self.state.groups.values()
        return Built(
            manifest.with_version(),
            self.folder.path,
            self.reused,
            self.changed,
            frozenset(self.modules),
            sum(record["zeros"] for record in records),
            sum(record["plaintexts"] for record in records),
            self._warnings(),
        )

    def _manifest_before(self) -> Manifest | None:
        try:
            return Manifest.read(self.folder.path)
        except SlotError:
            return None

    def _check_room(self) -> None:
        """Raises SL554 where the disk has no room for the weights."""
        free, needed = shutil.disk_usage(self.folder.path).free, self.work.file_bytes + SPARE_BYTES
        if free < needed:
            message = f"the weights take about {count_of(needed, 'byte')}, and {free:,} are free"
            raise error("SL554", message, hint="give a folder on another disk with -o", file=str(self.folder.path))

    # Programs

    def _programs_hold(self) -> bool:
        """Whether an earlier build chose programs that are there, whole."""
        programs = self.state.programs
        files = [File(program["file"], program["sha256"]) for program in programs]
        files += [File(program["certificate"], program["proof"]) for program in programs if program["certificate"]]
        return len(programs) == len(self.work.by_shape) and all(map(self.folder.holds, files))

    def _module(self, name: str) -> Module:
        """A program's module. One that this process did not emit is checked before any of it runs. Raises SL552 for one
        that is not what it says."""
        if name not in self.modules:
            program = next(program for program in self.state.programs if program["id"] == name)
            path = self.folder.path / program["file"]
            self.progress(f"checking {path.name}", self.first)
            text = read_regular(path).decode()
            found = check_module(Source(str(path), text))
            if not (found.report.proved and found.validation.proved):
                hint = f"remove {self.folder.path}"
                raise error("SL552", f"{path} is not what was emitted: it was edited", hint=hint, file=str(path))
            self.modules[name] = load_module(text, name)
        return self.modules[name]

    def _make_programs(self) -> None:
        """Choose the ring, parameters and layouts; prove, emit, validate and write the programs."""
        self.changed = True
        names = self._names()
        sizes = {shape: sizes_of(held, self.work.samples) for shape, held in self.work.by_shape.items()}
        refused: list[Unreachable] = []
        for choice in self.work.rings:
            wanted = {
                shape: Wanted.of(layout, sizes[shape], _identifier(names[shape]), len(self.work.by_shape[shape]))
                for shape, layout in choice.layouts.items()
            }
            parameters = self._common(list(wanted.values()), f"degree {2 * choice.slots}")
            if not isinstance(parameters, Unreachable):
                break
            refused.append(parameters)
        else:
            raise min(refused, key=lambda one: one.best).error()
        levels: dict[int, int] = {}
        for number, (shape, one) in enumerate(wanted.items()):
            done = self.first * (0.6 + 0.4 * number / len(wanted))
            self.progress(f"proving and emitting {shape.text}", done)
            lowered = lower(one.program(parameters), parameters, target=one.target(self.work.options.precision))
            module = load_module(lowered.text, names[shape])
            self.modules[names[shape]] = module
            for element, level in module.parameters.first_levels.items():
                levels[element] = min(level, levels.get(element, level))
            self.state.programs.append(self._written(names[shape], shape, lowered))
        self.state.keys = {
            "levels": {str(element): level for element, level in sorted(levels.items())},
            "bytes": parameters.sent_keys_bytes(Counter(levels.values())),
        }
        self.state.parameters = _parameters(parameters, module)
        self.folder.save(self.state)

    def _common(self, wanted: Sequence[Wanted], ring: str) -> Parameters | Unreachable:
        """Parameters for all programs on a ring, with the progress of the search."""

        def progress(step: str) -> None:
            self.progress(f"{ring}: {step}", self.first * 0.1)

        return common(wanted, self.work.options.precision, self.work.profile, progress)

    def _written(self, name: str, shape: GroupShape, lowered: Lowered) -> dict[str, Any]:
        """A program's files, and what the manifest says of it."""
        file = self.folder.write(f"programs/{name}-{self.state.key[:8]}.py", lowered.text.encode())
        text: str | None = None
        # where a goal is too large to be re-checked, there is none
        with suppress(SlotError):
            text = certificate(lowered.plan.program, lowered.report)
        place = f"programs/{name}-{self.state.key[:8]}.json"
        proof = None if text is None else self.folder.write(place, text.encode())
        made = lowered.plan
        times, p, counts = made.predicted(self.work.profile), made.parameters, made.counts
        compact = compact_form(made, self.work.profile)
        return {
            "id": name,
            "file": file.path,
            "sha256": file.sha256,
            "certificate": None if proof is None else proof.path,
            "proof": None if proof is None else proof.sha256,
            "verdict": lowered.report.status if lowered.validation.proved else "unknown",
            "range": lowered.range.status,
            "predicted": {
                "evaluation_ms": round(1e3 * times.evaluation, 3),
                **({} if compact is None else {"compact_ms": round(1e3 * (times.evaluation + compact.expanding), 3)}),
                "server_ms": round(1e3 * times.server, 3),
                "request_ms": round(1e3 * times.request, 3),
                "upload_bytes": counts.ciphertexts_in * p.sent_bytes(seeded=True),
                "download_bytes": made.download_bytes,
                "weight_bytes": made.weight_bytes,
                "relative_error": made.promise.relative_error,
            },
        }

    def _names(self) -> dict[GroupShape, str]:
        """Ids of programs: the last names of the modules that they are for first, and the width of the input."""
        found: dict[GroupShape, str] = {}
        for shape, held in self.work.by_shape.items():
            last = "-".join(m.name.rpartition(".")[2] for m in held[0].modules)
            name = re.sub(r"[^A-Za-z0-9._-]+", "-", last).strip("-._")[:60] or "update"
            name = f"{name}-{shape.columns}x{shape.tokens}"
            number = sum(other == name or other.startswith(f"{name}.") for other in found.values())
            found[shape] = f"{name}.{number + 1}" if number else name
        return found

    # Weights

    def _encode(self) -> None:
        """Encode the weights of every group whose file is not there, a few at a time."""
        ids = {shape: p["id"] for shape, p in zip(self.work.by_shape, self.state.programs, strict=True)}
        done = 0
        waiting: list[tuple[int, str]] = []
        for number, group in enumerate(self.work.groups):
            name = ids[group.shape(self.work.options.tokens)]
            record = self.state.groups.get(str(number))
            if record is not None and all(map(self.folder.holds, files_of(record))):
                self.reused += 1
                done += record["plaintexts"]
            else:
                waiting.append((number, name))
            self._encoding(group, done)
        for name in dict.fromkeys(name for _, name in waiting):
            load_kernels(self._module(name))
        with warnings.catch_warnings(action="ignore"):
            for number, (data, gates), record in self._encoded(waiting):
                group = self.work.groups[number]
                name = f"weights/{number:04}-{self.state.key[:8]}"
                if gates is not None:
                    record["gates"] = written(self.folder.write(f"{name}.gates", gates))
                file = self.folder.write(f"{name}.weights", data)
                self.state.groups[str(number)] = {**written(file), **record}
                self.folder.save(self.state)
                self.changed = True
                done += record["plaintexts"]
                self._encoding(group, done)

    def _encoding(self, group: Group, done: int) -> None:
        """Say which weights come next or were written, with this many plaintexts ``done``."""
        part = min(done / max(self.work.plaintexts, 1), 1.0)
        self.progress(f"weights of {group.input}", self.first + (1 - self.first) * part)

    def _encoded(self, waiting: Sequence[tuple[int, str]]) -> Iterator[tuple[int, Bytes, dict[str, Any]]]:
        """Weights as bytes, in order; no more than ``threads`` groups are in memory."""
        gates = self.work.options.gates > 0
        with ThreadPoolExecutor(self.threads) as pool:
            running: list[tuple[int, Future[tuple[Bytes, dict[str, Any]]]]] = []
            for number, name in waiting:
                group = self.work.groups[number]
                # how large the compact form is, one group says for its program
                compact = group is self.work.by_shape[group.shape(self.work.options.tokens)][0]
                given = self.modules[name], group, self.work.samples
                running.append((number, pool.submit(encoded, *given, gates=gates, compact=compact)))
                if len(running) == self.threads:
                    first, future = running.pop(0)
                    yield first, *future.result()
            for first, future in running:
                yield first, *future.result()

    def _warnings(self) -> list[Diagnostic]:
        """Of groups whose weights promise less than their program."""
        found = []
        grown = {int(n): record["grown"] for n, record in self.state.groups.items() if record["grown"]}
        if grown:
            worst = max(grown, key=lambda n: max(grown[n].values()))
            times = max(grown[worst].values())
            message = f"with the weights of {count_of(len(grown), 'input')} errors are larger than promised"
            notes = (f"up to {times:.3g} times, of {self.work.groups[worst].input}",)
            hint = "build with a smaller --precision, or with --activations"
            found.append(Diagnostic(BEYOND_PROMISE, message, notes=notes, hint=hint, file=str(self.folder.path)))
        coarse = [int(n) for n, record in self.state.groups.items() if record["coarse"]]
        if coarse:
            message = f"the weights of {count_of(len(coarse), 'input')} are below the precision of the parameters"
            notes = (f"the first are those of {self.work.groups[coarse[0]].input}",)
            found.append(Diagnostic(BELOW_PRECISION, message, notes=notes, file=str(self.folder.path)))
        return found

    # The manifest

    def _manifest(self) -> Manifest:
        work, options = self.work, self.work.options
        ids = {shape: p["id"] for shape, p in zip(work.by_shape, self.state.programs, strict=True)}
        compact: dict[str, dict[str, float]] = {}
        for number, group in enumerate(work.groups):
            # the first of a program was measured
            found = self.state.groups[str(number)]["compact"]
            compact.setdefault(ids[group.shape(options.tokens)], {} if found is None else {"compact_bytes": found})
        return Manifest(
            name=self.name,
            base_model=work.adapter.base_model or None,
            made_with=self.state.made_with,
            adapter=work.source,
            target={"tokens": options.tokens, "precision": options.precision},
            parameters=self.state.parameters,
            keys=Keys({int(e): level for e, level in self.state.keys["levels"].items()}, self.state.keys["bytes"]),
            programs=tuple(
                Program(
                    p["id"],
                    File(p["file"], p["sha256"]),
                    p["verdict"],
                    p["range"],
                    p["certificate"],
                    {name: float(value) for name, value in (p["predicted"] | compact[p["id"]]).items()},
                )
                for p in self.state.programs
            ),
            groups=tuple(
                _built_group(group, ids[group.shape(options.tokens)], options.tokens, record, work.samples)
                for group, record in zip(
                    work.groups, (self.state.groups[str(n)] for n in range(len(work.groups))), strict=True
                )
            ),
        )


def _built_group(group: Group, program: str, tokens: int, record: Mapping[str, Any], samples: Samples) -> BuiltGroup:
    sample = samples.get(group.input)
    weights, *gates = files_of(record)
    return BuiltGroup(
        program=program,
        input=group.input,
        tokens=tokens,
        weights=weights,
        modules=tuple(
            LoraUpdate(m.name, output, m.d_out, m.d_in, m.rank, m.scaling) for output, m in enumerate(group.modules)
        ),
        equalize={} if sample is None else {name: tuple(map(int, e)) for name, e in sample.equalize.items()},
        gates=gates[0] if gates else None,
    )


def _parameters(p: Parameters, module: Module) -> dict[str, Any]:
    ring = module.parameters.ring
    return {
        "degree": ring.degree,
        "prime_bits": list(ring.prime_bits),
        "scale_bits": list(module.parameters.scale_bits),
        "drops": list(module.parameters.drops),
        "results": module.parameters.results,
        "cut": list(module.parameters.cut),
        "text": p.text(),
    }


def _identifier(name: str) -> str:
    return "lora_" + re.sub(r"\W+", "_", name, flags=re.ASCII)
