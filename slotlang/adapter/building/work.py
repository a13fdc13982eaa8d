"""What a build has to do: the adapter's modules in groups, a layout for each shape, how long and how large."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from slotlang import __version__
from slotlang.adapter.adapter import Adapter, LoraModule, Unusable, read_adapter
from slotlang.adapter.building.choose import FEWER, Choice, choices
from slotlang.adapter.building.layout import GroupShape, Layout
from slotlang.adapter.building.shared import Group, groups
from slotlang.adapter.building.sizes import Sample, Samples, balanced, beyond, largest_rows
from slotlang.adapter.config import CONFIG_NAME
from slotlang.adapter.messages import listed, plain, shown, size_text
from slotlang.adapter.values import hash_arrays
from slotlang.cost.profile import Profile
from slotlang.diagnostics import Diagnostic, error
from slotlang.files import read_regular
from slotlang.service.manifest import NAME, NAME_RULE, Source, name_like
from slotlang_runtime.amounts import count_of
from slotlang_runtime.version import source_hash

BITS: Final = 40
"""Bits of a prime, and of a residue in a file, that sizes and times are estimated with before primes are chosen."""

ENCODING: Final = 1.8e-3
"""Seconds for a plaintext of degree 4096 on the machine of the default profile: bounds and expected errors of the
weights are computed, and it is encoded and written."""

SEARCHING: Final = 2.0
PROVING: Final = 4e-3
"""Seconds for a program, and for each of its plaintexts, to find parameters, prove, emit and validate."""


@dataclass(frozen=True)
class Options:
    """What is asked for. ``modules``: the only ones that are built, by paths or unique ends; where there are none,
    all that can be. ``table``: shared inputs in place of the known architectures', from the file ``table_file``.
    ``activations``: channels x tokens by the names of modules. ``equalized``: inputs with activations are
    equalized. ``gates``: ranks can be chosen for each request, and lie in this many blocks, of which those without a
    rank that is on are skipped; 0: they can't."""

    tokens: int
    precision: float
    modules: tuple[str, ...] = ()
    table: tuple[tuple[str, ...], ...] | None = None
    table_file: str = ""
    activations: Mapping[str, Any] = field(default_factory=dict, repr=False)
    equalized: bool = False
    base_changed: bool = False
    gates: int = 0


@dataclass(frozen=True)
class Work:
    """A build before it begins. ``rings``: the layouts on every ring, the fastest first; ``skipped``: modules that
    can't be run."""

    adapter: Adapter
    source: Source
    key: str
    options: Options
    groups: Sequence[Group]
    samples: Samples = field(repr=False)
    by_shape: Mapping[GroupShape, Sequence[Group]]
    rings: Sequence[Choice]
    profile: Profile = field(repr=False)
    skipped: Sequence[Unusable]
    warnings: Sequence[Diagnostic]

    @property
    def modules(self) -> int:
        """Modules that are built."""
        return sum(len(group.modules) for group in self.groups)

    @property
    def plaintexts(self) -> int:
        """Plaintexts of all weights, with the fastest layouts."""
        layouts = self.rings[0].layouts
        return sum(len(held) * layouts[shape].plaintexts for shape, held in self.by_shape.items())

    @property
    def file_bytes(self) -> int:
        """Bytes of the weights' files, about."""
        return self.plaintexts * 2 * self.rings[0].slots * 2 * BITS // 8

    @property
    def memory_bytes(self) -> int:
        """Bytes of the encoded weights in a server's memory, about."""
        return self.plaintexts * 2 * self.rings[0].slots * 2 * 8

    @property
    def seconds(self) -> float:
        """How long a build takes, about, from the start."""
        searching = sum(SEARCHING + PROVING * layout.plaintexts for layout in self.rings[0].layouts.values())
        return searching + self.plaintexts * ENCODING * self.rings[0].slots / 2048

    def _ciphertexts(self, of: Callable[[Layout], int]) -> int:
        """Of one request for each input."""
        layouts = self.rings[0].layouts
        return sum(len(held) * of(layouts[shape]) for shape, held in self.by_shape.items())

    @property
    def ciphertexts(self) -> tuple[int, int]:
        """Ciphertexts that are sent, and that are returned, in one request for each input."""
        return self._ciphertexts(lambda layout: layout.inputs), self._ciphertexts(lambda layout: layout.results)

    @property
    def ciphertext_bytes(self) -> int:
        """Bytes of a ciphertext that is sent, about; one that is returned has up to twice as many."""
        return 2 * self.rings[0].slots * 2 * BITS // 8

    @property
    def largest_upload(self) -> int:
        """Bytes of the largest request, about."""
        return self.ciphertext_bytes * max(layout.inputs for layout in self.rings[0].layouts.values())

    @property
    def places(self) -> int:
        """Tokens that the programs have room for: where they are more than ``tokens``, some stay empty."""
        layouts = self.rings[0].layouts.values()
        return max(layout.side * (2 if layout.packing == "tokens" else 1) for layout in layouts)

    def estimate(self) -> dict[str, Any]:
        """Plain data; as in ``adapter build --json``."""
        up, down = self.ciphertexts
        return {
            "modules": self.modules,
            "groups": len(self.groups),
            "programs": len(self.by_shape),
            "weight_file_bytes": self.file_bytes,
            "weight_memory_bytes": self.memory_bytes,
            "seconds": round(self.seconds),
            "ciphertexts_up": up,
            "ciphertexts_down": down,
            "upload_bytes": up * self.ciphertext_bytes,
            "download_bytes": down * self.ciphertext_bytes,
        }


def prepare(directory: Path, options: Options, profile: Profile) -> Work:
    """Read an adapter, and find the groups of its modules and their layouts. Nothing is written.

    Raises SL005 for numbers out of range, SL554 where nothing can be built, and as ``read_adapter`` and ``groups``; a
    module that can't be run is refused where it is asked for by name.
    """
    if not 1 <= options.tokens <= 1 << 13:
        raise error("SL005", f"--tokens is a number from 1 to {1 << 13:,}, not {options.tokens:,}")
    if not 0 < options.precision < 1:
        raise error("SL005", f"--precision lies between 0 and 1, and {options.precision} does not")
    if not 0 <= options.gates <= FEWER:
        raise error("SL005", f"--gates is a number from 0 to {FEWER}, not {options.gates:,}")
    adapter = read_adapter(directory, base_changed=options.base_changed)
    source, digest = _source(directory, adapter)
    modules, skipped = _chosen(adapter, options.modules)
    made, warnings = groups(modules, options.table, options.table_file)
    samples = _samples(made, options)
    by_shape: dict[GroupShape, list[Group]] = defaultdict(list)
    for group in made:
        by_shape[group.shape(options.tokens)].append(group)
    # primes of these sizes have kernels of their own
    rings = choices(
        {shape: len(held) for shape, held in by_shape.items()}, profile.of_primes([BITS]), max(options.gates, 1)
    )
    if not rings:
        worst = max(by_shape, key=lambda shape: shape.columns * max(u.rows for u in shape.updates))
        raise error(
            "SL554", f"modules {worst.text} are too large for {count_of(options.tokens, 'token')}", file=str(directory)
        )
    return Work(
        adapter,
        source,
        _key(options, digest, made),
        options,
        made,
        samples,
        by_shape,
        rings,
        profile,
        skipped,
        (*adapter.warnings, *warnings),
    )


def _chosen(adapter: Adapter, names: Sequence[str]) -> tuple[list[LoraModule], Sequence[Unusable]]:
    """The modules that are built, and those that are skipped. One that is asked for by name is refused instead."""
    if names:
        found = {module.name: module for module in map(adapter.module, names)}
        for module in found.values():
            if unusable := _beyond(adapter, module):
                raise unusable.refusal()
        return [adapter.modules[name] for name in adapter.modules if name in found], ()
    refused = {name: unusable for name, module in adapter.modules.items() if (unusable := _beyond(adapter, module))}
    skipped = [*adapter.unusable, *refused.values()]
    if len(refused) == len(adapter.modules):
        reasons = {f"{plain(u.name)}: {u.obstacle.reason}": None for u in skipped}
        message = "no module of this adapter can be built"
        # what they have in common to do
        hints = {u.obstacle.hint for u in skipped}
        hint = (hints.pop() if len(hints) == 1 else "") or "mend what the notes say of them"
        raise error("SL554", message, notes=list(reasons)[:8], hint=hint, file=str(adapter.path))
    return [module for name, module in adapter.modules.items() if name not in refused], skipped


def _beyond(adapter: Adapter, module: LoraModule) -> Unusable | None:
    """A module that can't be encrypted."""
    why = beyond(module, largest_rows(*balanced(module)))
    if why is None:
        return None
    shapes = f"lora_A {size_text(module.down.shape)}, lora_B {size_text(module.up.shape)}"
    return Unusable(module.name, why, shapes, str(adapter.path))


def _samples(made: Sequence[Group], options: Options) -> dict[str, Sample]:
    """Activations by the groups' inputs. Raises SL505 for names of no module, and for another width."""
    owners = {module.name: group for group in made for module in group.modules}
    samples: dict[str, Sample] = {}
    for name, given in options.activations.items():
        group = owners.get(name) or next((group for group in made if group.input == name), None)
        if group is None:
            notes = [f"modules are {listed(owners, 8)}"]
            hint = "call each array as the module whose input it is, or as the input of a group"
            raise error("SL505", f"there are activations of {shown(name)}, which is not built", notes=notes, hint=hint)
        x = np.asarray(given, np.float64)
        if x.shape[0] != group.modules[0].d_in:
            message = f"the activations of {shown(name)} have {count_of(x.shape[0], 'channel')}"
            raise error("SL505", message, notes=[f"the module reads {group.modules[0].d_in}"], hint="a row is a token")
        samples.setdefault(group.input, Sample.of(x, equalized=options.equalized))
    return samples


def _source(directory: Path, adapter: Adapter) -> tuple[Source, str]:
    """What the manifest says of the adapter's files."""
    digest = hashlib.sha256()
    files = [directory / CONFIG_NAME, *adapter.files]
    for path in files:
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(read_regular(path)).digest())
    rank = max((module.rank for module in adapter.modules.values()), default=0)
    return Source(digest.hexdigest(), rank, tuple(path.name for path in files)), digest.hexdigest()


def _key(options: Options, digest: str, made: Sequence[Group]) -> str:
    """A hash of all that a build is made from, but for the profile: another one finds layouts of another speed, and
    what is built stays right."""
    activations = hashlib.sha256()
    hash_arrays(activations, options.activations)
    about = {
        "adapter": digest,
        "tokens": options.tokens,
        "precision": options.precision,
        "groups": [[group.input, [module.name for module in group.modules]] for group in made],
        "activations": activations.hexdigest(),
        "equalized": options.equalized,
        **({"gates": options.gates} if options.gates else {}),
        "versions": made_with(),
    }
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def made_with() -> dict[str, str]:
    """The versions that a build depends on."""
    import tenseal

    return {"slotlang": __version__, "runtime": source_hash(), "tenseal": tenseal.__version__}


def default_name(directory: Path) -> str:
    """The name of an adapter's folder, as manifests take it."""
    return name_like(directory.resolve().name)


def checked_name(name: str) -> str:
    """The name. Raises SL005 for one that no manifest takes."""
    if not NAME.fullmatch(name):
        raise error("SL005", f"--name {shown(name)} is not a name", hint=f"{NAME_RULE}: {name_like(name)}")
    return name
