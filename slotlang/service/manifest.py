"""The manifest of a built adapter: what a folder that ``slotlang adapter build`` wrote holds, and what is in its files.

``NAME/manifest.json`` beside ``programs/`` and ``weights/``; docs/protocol.md has its keys. A group is one evaluation:
one upload of x, columns x tokens, one program, one file of encoded weights, and a result for each of its modules.
``version`` is a hash of everything else but the name, so that the same adapter built again has the same one.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from slotlang.diagnostics import SlotError, error
from slotlang.files import read_regular, reason_of, write_whole
from slotlang.service.fields import Fields, Wrong
from slotlang.service.protocol import MOST_NAME
from slotlang_runtime.parameters import RELINEARIZATION

SCHEMA = "slotlang.adapter/1"
FILE = "manifest.json"
MOST_BYTES = 1 << 26
"""Of a manifest; one with a thousand modules has some hundred thousand."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""Names of adapters and programs: they stand in addresses and in names of files."""
NAME_RULE = "a name has at most 100 letters, digits, `.`, `_` and `-`, the first a letter or digit"
_SHA256 = re.compile(r"[0-9a-f]{64}")


def name_like(text: str, other: str = "adapter") -> str:
    """A name that is as close to a text as a name can be; ``other`` where nothing of it is left."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:100] or other


@dataclass(frozen=True)
class File:
    """A file of the folder: its path below it, with ``/``, and the SHA-256 of its contents."""

    path: str
    sha256: str
    bytes: int | None = None


@dataclass(frozen=True)
class Source:
    """The adapter that was built: a hash of its files, the largest rank of its modules, and the files' names."""

    sha256: str
    rank: int
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Keys:
    """The evaluation keys that all programs together need: the first level at which each is used, by Galois element (1:
    for products of ciphertexts), and how many bytes a client sends."""

    levels: Mapping[int, int]
    bytes: int

    @property
    def elements(self) -> frozenset[int]:
        """Those of the Galois keys."""
        return frozenset(self.levels) - {RELINEARIZATION}

    def to_json(self) -> dict[str, Any]:
        """Plain data, as in the file."""
        return {
            "elements": sorted(self.elements),
            "relinearization": RELINEARIZATION in self.levels,
            "levels": {str(element): level for element, level in sorted(self.levels.items())},
            "bytes": self.bytes,
        }


@dataclass(frozen=True)
class Program:
    """An emitted, validated module. ``verdict`` and ``range`` as ``slotlang check`` gives them; ``predicted``: figures
    by name (``evaluation_ms``, ``server_ms``, ``upload_bytes``, ``download_bytes``)."""

    id: str
    file: File
    verdict: str
    range: str
    certificate: str | None = None
    predicted: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class LoraUpdate:
    """A module of the model whose update is one of a group's results: result number ``output`` of the program, rows x
    tokens, from columns x tokens."""

    name: str
    output: int
    rows: int
    columns: int
    rank: int
    scaling: float

    @classmethod
    def of(cls, fields: Fields) -> LoraUpdate:
        """The update of a manifest's plain data. Raises Wrong."""
        return cls(
            fields.text("name"),
            fields.whole("output"),
            fields.whole("rows"),
            fields.whole("columns"),
            fields.whole("rank"),
            fields.number("scaling"),
        )


@dataclass(frozen=True)
class Group:
    """One evaluation. ``input``: which activations these are, as text; ``equalize``: exponents of the program's inputs
    that clients and weights share (``slotlang_runtime.equalized``); ``gates``: the weights in the clear
    (``slotlang_runtime.gates``), where ranks of its modules can be chosen for each request."""

    program: str
    input: str
    tokens: int
    weights: File
    modules: tuple[LoraUpdate, ...]
    equalize: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    gates: File | None = None


@dataclass(frozen=True)
class Manifest:
    """A built adapter. ``parameters``: ``degree`` and ``prime_bits`` of all its programs, and more that is for people;
    ``target``: what the build was asked for."""

    name: str
    base_model: str | None
    made_with: Mapping[str, str]
    adapter: Source
    target: Mapping[str, Any]
    parameters: Mapping[str, Any]
    keys: Keys
    programs: tuple[Program, ...]
    groups: tuple[Group, ...]
    version: str = ""

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """The manifest of a folder. Raises ``SlotError``: SL001 where there is none, SL561 for one that is wrong."""
        path = folder / FILE
        try:
            data = read_regular(path, MOST_BYTES)
        except (OSError, ValueError) as problem:
            reason = reason_of(problem)
            hint = "`slotlang adapter build DIR -o FOLDER` makes one" if isinstance(problem, FileNotFoundError) else ""
            raise error(
                "SL001", f"can't read {path.name} of this folder: {reason}", file=str(path), hint=hint
            ) from None
        return cls.from_bytes(data, str(path))

    @classmethod
    def from_bytes(cls, data: bytes, where: str = FILE) -> Manifest:
        """A manifest from its text; ``where``: for messages. Raises ``SlotError`` SL561."""
        try:
            if len(data) > MOST_BYTES:
                raise Wrong("it is too long")
            try:
                values = json.loads(data)
            except (ValueError, RecursionError):
                raise Wrong("it is not JSON") from None
            found = _manifest(Fields(values))
            found.check()
            if found.version != found.content_hash:
                raise Wrong(f"`version` is {found.version!r:.30}, and that of its contents is {found.content_hash!r}")
        except Wrong as problem:
            raise _refused(str(problem), where) from None
        return found

    def write(self, folder: Path) -> Manifest:
        """Write it, with its version, checked; returned as it was written. Raises ``SlotError`` SL561, OSError."""
        try:
            # as it will be read: 1 becomes 1.0 where a number stands
            whole = _manifest(Fields(self.to_json())).with_version()
            whole.check()
        except Wrong as problem:
            raise _refused(str(problem), str(folder / FILE)) from None
        write_whole(folder / FILE, json.dumps(whole.to_json(), indent=1, allow_nan=False).encode() + b"\n", 0o644)
        return whole

    def with_version(self) -> Manifest:
        """This manifest with the version of its contents."""
        return replace(self, version=self.content_hash)

    def to_json(self) -> dict[str, Any]:
        """Plain data, as in the file."""
        values = asdict(self)
        values["keys"] = self.keys.to_json()
        for program in values["programs"]:
            file = program.pop("file")
            program.update(file=file["path"], sha256=file["sha256"])
        for group in values["groups"]:
            weights = group["weights"]
            group["weights"] = _file_json(weights)
            if not group["equalize"]:
                del group["equalize"]
            gates = group.pop("gates")
            if gates is not None:
                group["gates"] = _file_json(gates)
        version = values.pop("version")
        plain: dict[str, Any] = json.loads(json.dumps(values, allow_nan=False))
        return {"schema": SCHEMA, "name": plain.pop("name"), "version": version, **plain}

    @cached_property
    def content_hash(self) -> str:
        """The first 16 hex digits of the SHA-256 of everything but name and version, as JSON with sorted keys."""
        values = self.to_json()
        del values["schema"], values["name"], values["version"]
        text = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @cached_property
    def by_id(self) -> Mapping[str, Program]:
        """Programs by id."""
        return {program.id: program for program in self.programs}

    @cached_property
    def places(self) -> Mapping[str, tuple[int, LoraUpdate]]:
        """Modules by name, each with the number of its group."""
        return {module.name: (n, module) for n, group in enumerate(self.groups) for module in group.modules}

    def check(self) -> None:
        """Raise Wrong for what does not fit together, and for paths that lead out of the folder."""
        if not NAME.fullmatch(self.name):
            raise Wrong(f"`name` {self.name!r:.120} is not letters, digits, `.`, `_` and `-`, at most 100")
        if len(self.by_id) != len(self.programs):
            raise Wrong("two programs have one id")
        if not self.groups:
            raise Wrong("there are no groups")
        for program in self.programs:
            if not NAME.fullmatch(program.id):
                raise Wrong(f"a program's id {program.id!r:.120} is not letters, digits, `.`, `_` and `-`, at most 100")
            _check_file(program.file)
            if program.certificate is not None:
                _check_path(program.certificate)
        seen: set[str] = set()
        for number, group in enumerate(self.groups):
            if group.program not in self.by_id:
                raise Wrong(f"groups[{number}] names the program {group.program!r:.60}, which is not there")
            _check_file(group.weights)
            if group.gates is not None:
                _check_file(group.gates)
            if group.tokens < 1 or not group.modules:
                raise Wrong(f"groups[{number}] has no tokens or no modules")
            if len({m.output for m in group.modules}) != len(group.modules):
                raise Wrong(f"groups[{number}] has two modules with one output")
            if len({m.columns for m in group.modules}) != 1:
                raise Wrong(f"groups[{number}] has modules with different columns, which read one x")
            for module in group.modules:
                if module.name in seen or not module.name:
                    raise Wrong(f"the module {module.name!r:.200} is there twice")
                if len(module.name) > MOST_NAME:
                    raise Wrong(f"the module {module.name!r:.200} has a name of more than {MOST_NAME} characters")
                if min(module.rows, module.columns) < 1 or module.output < 0:
                    raise Wrong(f"the module {module.name!r:.200} has sizes below 1")
                seen.add(module.name)


def _file_json(values: Mapping[str, Any]) -> dict[str, Any]:
    return {"file": values["path"], "sha256": values["sha256"], "bytes": values["bytes"]}


def _refused(why: str, where: str) -> SlotError:
    return error("SL561", f"this is not the manifest of a built adapter: {why}", file=where)


def _check_path(path: str) -> None:
    parts = PurePosixPath(path).parts
    if not parts or "\\" in path or "\0" in path or path != "/".join(parts) or {"..", ".", "/"} & set(parts):
        raise Wrong(f"the path {path!r:.120} is not one below the folder, written with `/`")


def _check_file(file: File) -> None:
    _check_path(file.path)
    if not _SHA256.fullmatch(file.sha256):
        raise Wrong(f"`sha256` of {file.path!r:.120} is not 64 hex digits")


def _manifest(of: Fields) -> Manifest:
    if (schema := of.text("schema")) != SCHEMA:
        raise Wrong(f"its schema is {schema!r:.60}, and {SCHEMA!r} is read here")
    adapter, keys = of.part("adapter"), of.part("keys")
    parameters = of.part("parameters")
    parameters.whole("degree")
    parameters.wholes("prime_bits")
    return Manifest(
        name=of.text("name"),
        version=of.text("version"),
        base_model=of.optional_text("base_model"),
        made_with=of.part("made_with").texts(),
        adapter=Source(adapter.text("sha256"), adapter.whole("rank"), tuple(adapter.text_list("files"))),
        target=of.part("target").values,
        parameters=parameters.values,
        keys=_keys(keys),
        programs=tuple(_program(part) for part in of.parts("programs")),
        groups=tuple(_group(part) for part in of.parts("groups")),
    )


def _keys(of: Fields) -> Keys:
    levels = of.part("levels")
    named = [*([RELINEARIZATION] if of.flag("relinearization") else []), *of.wholes("elements")]
    if set(levels.values) != set(map(str, named)):
        raise Wrong("`keys.levels` does not name the same keys as `keys.elements` and `keys.relinearization`")
    return Keys({element: levels.whole(str(element)) for element in named}, of.whole("bytes"))


def _program(of: Fields) -> Program:
    return Program(
        id=of.text("id"),
        file=File(of.text("file"), of.text("sha256")),
        verdict=of.text("verdict"),
        range=of.text("range"),
        certificate=of.optional_text("certificate"),
        predicted=of.part("predicted").numbers() if "predicted" in of.values else {},
    )


def _file(of: Fields) -> File:
    return File(of.text("file"), of.text("sha256"), of.whole("bytes"))


def _group(of: Fields) -> Group:
    equalize = of.part("equalize") if "equalize" in of.values else Fields({})
    return Group(
        program=of.text("program"),
        input=of.text("input"),
        tokens=of.whole("tokens"),
        weights=_file(of.part("weights")),
        modules=tuple(map(LoraUpdate.of, of.parts("modules"))),
        equalize={name: tuple(equalize.wholes(name)) for name in equalize.values},
        gates=_file(of.part("gates")) if "gates" in of.values else None,
    )
