"""Whole adapters, built: what is in the folder runs and is right, and a build that was stopped goes on."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from adapter_files import factors_layout, refusal, write_adapter
from repository import ROOT
from safetensors.numpy import load_file, save_file

from slotlang.adapter import Adapter, read_adapter
from slotlang.adapter.building import build as build_module
from slotlang.adapter.building.build import Built, build
from slotlang.adapter.building.common import Wanted, common
from slotlang.adapter.building.folder import Folder
from slotlang.adapter.building.sizes import Array
from slotlang.adapter.building.work import Options, Work, prepare
from slotlang.api import parameters_named
from slotlang.cli.building import after
from slotlang.cost.profile import find_profile
from slotlang.diagnostics import SlotError
from slotlang.emit.loaded import load_module
from slotlang.proof.certificate import certificate
from slotlang.recheck import recheck
from slotlang.service.manifest import File, Manifest
from slotlang.source import Source
from slotlang.validation.check import check_module
from slotlang_runtime import Client, EvaluationKeys, Gates, SecretKey, Server, Weights
from slotlang_runtime.module import Module

OPTIONS = Options(tokens=256, precision=1e-3)
"""As many tokens as leave eight slots for the channels of each: small programs."""
LAYOUT = {
    key: shape
    for layer in range(2)
    for name, rows in (("q_proj", 16), ("k_proj", 8))
    for key, shape in factors_layout(f"l.{layer}.attn.{name}", rows, 8, 2).items()
}
LAYOUT_OF_FOUR = {
    key: shape
    for name, rows in (("q_proj", 16), ("k_proj", 8))
    for key, shape in factors_layout(f"l.0.attn.{name}", rows, 8, 4).items()
}


def loaded(folder: Path, name: str) -> Module:
    """A program of a built folder, as a server loads it."""
    # without bytecode beside it, which nobody has checked
    return load_module((folder / name).read_text())


def files_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    """All files with their content and the time of their last change."""
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapter")
    write_adapter(folder, LAYOUT, r=2, lora_alpha=6)
    return folder


@pytest.fixture(scope="module")
def work(source: Path) -> Work:
    return prepare(source, OPTIONS, find_profile())


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Parameters are not searched, and no certificates are written: the tests that are slow do both."""
    with pytest.MonkeyPatch.context() as patch:
        found = parameters_named("degree 4096 primes 39, 39, 27 scales 20, 20, 16")
        patch.setattr(build_module, "common", lambda *given: found)
        patch.setattr(build_module, "certificate", lambda *given: "{}")
        yield


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build with all its parts."""
    monkeypatch.setattr(build_module, "common", common)
    monkeypatch.setattr(build_module, "certificate", certificate)


@pytest.fixture(scope="module")
def built(quick: None, work: Work, tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(work, tmp_path_factory.mktemp("service") / "tiny", "tiny")


@pytest.fixture
def folder(built: Built, tmp_path: Path) -> Path:
    """A copy of the built folder."""
    shutil.copytree(built.path, tmp_path / "tiny")
    return tmp_path / "tiny"


def errors(folder: Path, adapter: Adapter, given: Array | None = None) -> Iterator[float]:
    """Relative errors of all updates, from one upload for each group and one set of keys; of random inputs, or of
    ``given`` ones."""
    manifest = Manifest.read(folder)
    modules = {program.id: loaded(folder, program.file.path) for program in manifest.programs}
    secret = SecretKey(next(iter(modules.values())).parameters.ring)
    keys = EvaluationKeys.from_bytes(secret.evaluation_keys(*modules.values()))
    assert {element: key.level for element, key in keys.keys.items()} == manifest.keys.levels
    rng = np.random.default_rng(3)
    for group in manifest.groups:
        module = modules[group.program]
        server = Server(Weights.from_bytes(module, (folder / group.weights.path).read_bytes()))
        equalize = {name: np.array(exponents) for name, exponents in group.equalize.items()}
        client = Client(module, secret, equalize=equalize)
        x = rng.standard_normal((group.modules[0].columns, group.tokens)) if given is None else given
        found = client.decrypt(server.evaluate(client.encrypt(x=x), keys).data)
        for update in group.modules:
            made = adapter.modules[update.name]
            y = found if isinstance(found, np.ndarray) else found[f"y{update.output}"]
            want = made.scaling * made.up @ (made.down @ x)
            assert y.shape == want.shape == (update.rows, group.tokens)
            yield float(np.sqrt(np.mean((y - want) ** 2) / np.mean(want**2)))


def test_what_is_built_is_right(built: Built, source: Path) -> None:
    found = list(errors(built.path, read_adapter(source)))
    assert len(found) == 4 and max(found) < OPTIONS.precision


def test_one_program_for_alike_layers_with_one_upload(built: Built) -> None:
    manifest = Manifest.read(built.path)
    (program,) = manifest.programs
    assert (program.id, program.verdict, program.range) == ("q_proj-k_proj-8x256", "proved", "proved")
    assert [g.input for g in manifest.groups] == ["l.0.attn#in", "l.1.attn#in"]
    assert [m.name.rpartition(".")[2] for m in manifest.groups[0].modules] == ["q_proj", "k_proj"]
    assert built.manifest == manifest and built.changed and not built.reused
    assert program.certificate is not None and (built.path / program.certificate).exists()


def test_programs_check_by_themselves(built: Built) -> None:
    (program,) = built.manifest.programs
    path = built.path / program.file.path
    found = check_module(Source(str(path), path.read_text()))
    assert (found.report.status, found.validation.status, found.range.status) == ("proved",) * 3


def test_built_again_changes_nothing(folder: Path, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files_of(folder)
    monkeypatch.setattr(build_module, "lower", None)
    monkeypatch.setattr(build_module, "encoded", None)
    again = build(work, folder, "tiny")
    assert not again.changed and again.reused == 2
    # nothing is proved, and it is not said to be
    assert not again.proved and "proved, range proved by an earlier build; " in "\n".join(after(again))
    assert files_of(folder) == before


class _Stopped(Exception):
    pass


def stop_at(number: int) -> Callable[[str, float], None]:
    """A progress that ends the build when it is told of something for the ``number``-th time."""
    seen = 0

    def progress(what: str, done: float) -> None:
        nonlocal seen
        seen += 1
        if seen == number:
            raise _Stopped

    return progress


def test_a_stopped_build_goes_on(work: Work, built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "tiny"
    whole = {name: content for name, (content, _) in files_of(built.path).items() if name != ".lock"}
    calls = []
    lower = build_module.lower
    monkeypatch.setattr(build_module, "lower", lambda *a, **k: calls.append(1) or lower(*a, **k))  # type: ignore[func-returns-value]
    reports = []
    build(work, tmp_path / "counted", "tiny", lambda what, done: reports.append(done), threads=1)
    assert reports == sorted(reports) and reports[-1] == pytest.approx(1.0)
    # stopped when the first weights are there
    with pytest.raises(_Stopped):
        build(work, folder, "tiny", stop_at(len(reports) - 1), threads=1)
    assert not (folder / "manifest.json").exists()
    assert len(list((folder / "weights").iterdir())) == 1
    (folder / ".slotlang.1.left").write_bytes(b"half")
    found = build(work, folder, "tiny")
    assert (found.reused, found.changed, len(calls)) == (1, True, 2)
    assert found.proved == {program.id for program in found.manifest.programs}
    assert {name: content for name, (content, _) in files_of(folder).items() if name != ".lock"} == whole


def test_requests_are_counted_for_every_input(work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Wanted] = []

    def asked(wanted: list[Wanted], *given: object) -> None:
        seen.extend(wanted)
        raise _Stopped

    monkeypatch.setattr(build_module, "common", asked)
    with pytest.raises(_Stopped):
        build(work, tmp_path / "tiny", "tiny")
    # one program, for both layers
    assert [one.groups for one in seen] == [2]


def test_a_build_that_was_killed_before_it_wrote_anything(work: Work, built: Built, tmp_path: Path) -> None:
    for name in ("programs", "weights"):
        (tmp_path / "tiny" / name).mkdir(parents=True)
    (tmp_path / "tiny" / ".lock").write_bytes(b"")
    with pytest.raises(_Stopped):
        build(work, tmp_path / "tiny", "tiny", stop_at(1))
    assert build(work, tmp_path / "tiny", "tiny").manifest == built.manifest


def test_a_damaged_file_is_made_anew(folder: Path, work: Work, built: Built) -> None:
    path = folder / built.manifest.groups[1].weights.path
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    found = build(work, folder, "tiny")
    assert found.reused == 1 and path.read_bytes() == whole
    assert found.manifest == built.manifest


def test_an_edited_program_is_made_anew(folder: Path, work: Work, built: Built) -> None:
    path = folder / built.manifest.programs[0].file.path
    text = path.read_text()
    path.write_text(text.replace("slotlang_runtime", "other_runtime"))
    assert build(work, folder, "tiny").manifest == built.manifest
    assert path.read_text() == text


def test_a_program_that_lies_is_not_run(folder: Path, work: Work, built: Built) -> None:
    # whoever edits it can edit the hashes in build.json too
    path, state = folder / built.manifest.programs[0].file.path, folder / "build.json"
    path.write_text(path.read_text() + "\nraise SystemExit('executed')\n")
    values = json.loads(state.read_text())
    values["programs"][0]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    rest = {name: value for name, value in values.items() if name not in ("schema", "sha256")}
    values["sha256"] = hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
    state.write_text(json.dumps(values))
    (folder / built.manifest.groups[0].weights.path).unlink()
    with pytest.raises(SlotError, match="SL745"):
        build(work, folder, "tiny")


def test_another_adapter_takes_the_place_where_that_is_asked_for(folder: Path, tmp_path: Path, built: Built) -> None:
    other, before = tmp_path / "other", files_of(folder)
    write_adapter(other, factors_layout("l.0.o_proj", 8, 8, 2), r=2)
    work = prepare(other, OPTIONS, find_profile())
    refused = refusal("SL552", lambda: build(work, folder, "tiny"))
    assert "holds the build of another adapter" in refused.message and "--force" in refused.hint
    assert files_of(folder) == before

    def stop(what: str, done: float) -> None:
        if what.startswith("weights"):
            raise _Stopped

    with pytest.raises(_Stopped):
        build(work, folder, "tiny", stop, force=True)
    # what was begun goes on without being asked for again
    found = build(work, folder, "tiny")
    assert found.manifest.version != built.manifest.version and found.reused == 0
    names = set(files_of(folder))
    assert {g.weights.path for g in found.manifest.groups} == {n for n in names if n.startswith("weights/")}
    assert not any(program.file.path in names for program in built.manifest.programs)


def test_a_folder_of_another_version(folder: Path, work: Work, built: Built) -> None:
    state = folder / "build.json"
    values = json.loads(state.read_text())
    values["made_with"]["slotlang"] = "0.0.9"
    state.write_text(json.dumps(values))
    before = files_of(folder)
    found = refusal("SL551", lambda: build(work, folder, "tiny"))
    assert "0.0.9" in found.notes[0] and "-o" in found.hint and "--force" in found.hint
    assert files_of(folder) == before
    assert build(work, folder, "tiny", force=True).manifest == built.manifest


def test_other_options_of_an_adapter_take_the_place(folder: Path, source: Path, built: Built) -> None:
    some = Options(256, 1e-3, modules=("l.0.attn.q_proj",))
    found = build(prepare(source, some, find_profile()), folder, "tiny")
    assert found.changed and len(found.manifest.groups) == 1


@pytest.mark.parametrize("missing", [True, False])
def test_a_certificate_that_is_not_whole_is_made_anew(folder: Path, work: Work, built: Built, missing: bool) -> None:
    place = built.manifest.programs[0].certificate
    assert place is not None
    path = folder / place
    content = path.read_bytes()
    if missing:
        path.unlink()
    else:
        path.write_bytes(content[:-1])
    assert build(work, folder, "tiny").manifest == built.manifest
    assert path.read_bytes() == content


def test_a_certificate_that_can_not_be_written_ends_the_build(
    work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Folder.write

    def full(self: Folder, name: str, data: bytes) -> File:
        if name.startswith("programs/") and name.endswith(".json"):
            raise self.unwritable(OSError(28, "No space left on device", name))
        return write(self, name, data)

    monkeypatch.setattr(Folder, "write", full)
    refusal("SL004", lambda: build(work, tmp_path / "tiny", "tiny"))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("programs",), 5),
        (("programs", 0), {}),
        (("programs", 0, "verdict"), "unknown"),
        (("programs", 0, "predicted", "request_ms"), 10**400),
        (("groups",), []),
        (("groups", "0"), {}),
        (("groups", "0", "file"), "\ud800"),
        (("groups", "0", "plaintexts"), "8"),
        (("groups", "0", "compact"), {}),
        (("keys",), {}),
        (("keys", "levels"), {}),
        (("parameters", "prime_bits", 0), 40),
    ],
)
def test_a_state_of_which_a_part_was_changed(
    folder: Path, work: Work, place: tuple[str | int, ...], value: object
) -> None:
    path = folder / "build.json"
    values = part = json.loads(path.read_text())
    for name in place[:-1]:
        part = part[name]
    assert part[place[-1]] != value
    part[place[-1]] = value
    path.write_text(json.dumps(values))
    refusal("SL552", lambda: build(work, folder, "tiny"))


def nested(depth: int) -> str:
    """A state with a list in a list, and so on."""
    return '{"schema": ' + "[" * depth + "]" * depth + "}"


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"schema": "slotlang.adapter.build/1", "made_with": {}}', nested(100_000)]
)
def test_a_damaged_state(folder: Path, work: Work, content: str) -> None:
    (folder / "build.json").write_text(content)
    with pytest.raises(SlotError, match=r"SL55[12]"):
        build(work, folder, "tiny")


def test_a_strange_folder_is_left_alone(tmp_path: Path, work: Work) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    found = refusal("SL552", lambda: build(work, tmp_path / "mine", "tiny"))
    assert "notes.txt" in found.message
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "manifest.json").write_text("{}")
    refusal("SL552", lambda: build(work, tmp_path / "served", "tiny"))
    (tmp_path / "file").write_text("")
    refusal("SL552", lambda: build(work, tmp_path / "file", "tiny"))
    assert (tmp_path / "mine" / "notes.txt").read_text() == "mine"


def test_two_builds_of_one_folder(folder: Path, work: Work) -> None:
    with Folder(folder).locked():
        refusal("SL552", lambda: build(work, folder, "tiny"))


def test_problems_belong_to_modules(tmp_path: Path) -> None:
    layout = LAYOUT | {"base_model.model.conv.lora_A.weight": ("F32", [2, 3, 3, 3])}
    layout |= {"base_model.model.conv.lora_B.weight": ("F32", [8, 2, 1, 1])}
    write_adapter(tmp_path, layout, r=2)
    work = prepare(tmp_path, OPTIONS, find_profile())
    assert [u.name for u in work.skipped] == ["conv"] and work.modules == 4
    some = prepare(tmp_path, Options(256, 1e-3, modules=("l.0.attn.q_proj",)), find_profile())
    assert some.modules == 1 and not some.skipped
    refusal("SL504", lambda: prepare(tmp_path, Options(256, 1e-3, modules=("conv",)), find_profile()))


def test_a_module_that_can_not_be_encrypted_is_skipped(tmp_path: Path) -> None:
    alphas = {"l.0.attn.q_proj": 1e300}
    write_adapter(tmp_path, LAYOUT, r=2, alpha_pattern=alphas)
    work = prepare(tmp_path, OPTIONS, find_profile())
    (skipped,) = work.skipped
    assert skipped.name == "l.0.attn.q_proj" and "a scaling of 5.0e+299" in skipped.obstacle.reason
    assert work.modules == 3
    found = refusal("SL554", lambda: prepare(tmp_path, Options(256, 1e-3, modules=(skipped.name,)), find_profile()))
    assert skipped.name in found.message
    write_adapter(tmp_path, LAYOUT, r=2, lora_alpha=1e300)
    assert len(refusal("SL554", lambda: prepare(tmp_path, OPTIONS, find_profile())).notes) == 4


def test_nothing_to_build(tmp_path: Path) -> None:
    write_adapter(tmp_path, {"base_model.model.c.lora_A.weight": ("F32", [2, 3])}, r=2)
    found = refusal("SL554", lambda: prepare(tmp_path, OPTIONS, find_profile()))
    assert "lora_B is missing" in found.notes[0]


def test_nothing_to_build_says_what_to_do_where_that_is_one_thing(tmp_path: Path) -> None:
    factors = {
        f"base_model.model.{name}.lora_{side}.weight": ("F32", shape)
        for name in "ab"
        for side, shape in (("A", [2, 256]), ("B", [256, 2]))
    }
    write_adapter(tmp_path, factors, r=2, init_lora_weights="pissa")
    found = refusal("SL554", lambda: prepare(tmp_path, OPTIONS, find_profile()))
    assert len(found.notes) == 2 and found.hint is not None and "--base-changed" in found.hint


def test_activations_bound_and_equalize_inputs(source: Path, tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((8, 256))
    x[5] *= 200
    options = Options(256, 1e-3, ("l.0.attn.q_proj",), activations={"l.0.attn.q_proj": x}, equalized=True)
    found = build(prepare(source, options, find_profile()), tmp_path / "a", "a")
    (group,) = found.manifest.groups
    assert group.equalize["x"][5] >= 3
    module = loaded(found.path, found.manifest.programs[0].file.path)
    largest = np.sqrt((np.ldexp(x, -np.array(group.equalize["x"])[:, None]) ** 2).sum(axis=0)).max()
    assert 2 * largest <= module.limits["x"].norm <= 2.02 * largest
    assert max(errors(found.path, read_adapter(source), x)) < 1e-3
    wrong = Options(256, 1e-3, activations={"l.7": x})
    with pytest.raises(SlotError, match="SL505"):
        prepare(source, wrong, find_profile())


def test_zero_plaintexts_are_counted(source: Path, tmp_path: Path) -> None:
    pruned = tmp_path / "pruned"
    shutil.copytree(source, pruned)
    tensors = load_file(pruned / "adapter_model.safetensors")
    for name in tensors:
        if "k_proj" in name:
            tensors[name][:] = 0
    save_file(tensors, pruned / "adapter_model.safetensors")
    found = build(prepare(pruned, Options(256, 1e-3, ("l.0.attn.k_proj",)), find_profile()), tmp_path / "z", "z")
    # both matrices are zero
    assert found.zeros == found.plaintexts > 0


@pytest.mark.filterwarnings("ignore::slotlang_runtime.BelowPrecision")
def test_ranks_of_what_is_built_can_be_chosen(tmp_path: Path) -> None:
    """Of two modules in one program, from one file of weights in the clear, which goes as the weights do."""
    write_adapter(tmp_path / "four", LAYOUT_OF_FOUR, r=4, lora_alpha=6)
    adapter = read_adapter(tmp_path / "four")
    work = prepare(tmp_path / "four", replace(OPTIONS, gates=2), find_profile())
    found = build(work, tmp_path / "gated", "gated")
    assert all(layout.blocks(part) == 2 for layout in work.rings[0].layouts.values() for part in layout.parts)
    (group,), (program,) = found.manifest.groups, found.manifest.programs
    assert group.gates is not None and program.verdict == "proved"
    module = loaded(found.path, program.file.path)
    gates = Gates.from_bytes(module, (found.path / group.gates.path).read_bytes())
    server = Server(Weights.from_bytes(module, (found.path / group.weights.path).read_bytes()), gates=gates)
    secret = SecretKey(module.parameters.ring)
    keys, client = EvaluationKeys.from_bytes(secret.evaluation_keys(module)), Client(module, secret)
    x = np.random.default_rng(5).standard_normal((8, 256))
    upload, products = client.encrypt(x=x), []
    for ranks in ({}, {"y0": [1]}, {"y0": [1, 3], "y1": [0, 2]}, {"y0": [], "y1": [3]}):
        answer = server.evaluate(upload, keys, ranks=ranks)
        products.append(answer.counts["plain_products"])
        y = client.decrypt(answer.data)
        for update in group.modules:
            made, on = adapter.modules[update.name], ranks.get(f"y{update.output}", range(4))
            want = made.scaling * made.up[:, on] @ (made.down[on] @ x)
            off = y[f"y{update.output}"] - want
            assert np.sqrt(np.mean(off**2)) <= module.error[f"y{update.output}"]
    # one module shares its plaintexts with the other: both have to leave out the same block
    assert products[0] == len(module.encoded()) and products[2] == products[0] // 2
    assert products[0] >= products[1] >= products[2] and products[3] <= products[2]
    # built again, and with the file damaged
    again = build(work, found.path, "gated")
    assert not again.changed and again.manifest == found.manifest
    path = found.path / group.gates.path
    before = path.read_bytes()
    path.write_bytes(before[:-1])
    assert build(work, found.path, "gated").changed and path.read_bytes() == before
    # without gates it is another build, and the file goes
    without = prepare(tmp_path / "four", OPTIONS, find_profile())
    assert build(without, found.path, "gated").manifest.groups[0].gates is None
    assert not path.exists()


@pytest.mark.slow
def test_a_killed_process(source: Path, tmp_path: Path, built: Built) -> None:
    command = [sys.executable, "-m", "slotlang", "adapter", "build", str(source), "-o", str(tmp_path), "--name", "tiny"]
    command += ["--tokens", "256"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for seconds in (1.0, 2.0, 3.0, 4.0):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        process.kill()
        process.wait()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "proved" in done.stdout, done.stderr
    found = Manifest.read(tmp_path / "tiny")
    assert found.places == built.manifest.places
    assert max(errors(tmp_path / "tiny", read_adapter(source))) < OPTIONS.precision


@pytest.mark.slow
def test_lanes_of_small_modules(whole: None, tmp_path: Path) -> None:
    layout = {
        key: shape
        for name, rows in (("q_proj", 24), ("k_proj", 8), ("v_proj", 8))
        for key, shape in factors_layout(f"l.0.attn.{name}", rows, 16, 2).items()
    }
    write_adapter(tmp_path / "adapter", layout, r=2, alpha_pattern={"v_proj": 5})
    found = build(prepare(tmp_path / "adapter", Options(2, 1e-3), find_profile()), tmp_path / "m", "m")
    assert "h % 2 == 1" in (found.path / found.manifest.programs[0].file.path).read_text()
    assert max(errors(found.path, read_adapter(tmp_path / "adapter"))) < 1e-3


@pytest.mark.slow
def test_the_example_adapter(whole: None, tmp_path: Path) -> None:
    example = ROOT / "examples" / "minilm_adapter"
    found = build(prepare(example, Options(8, 1e-3), find_profile()), tmp_path / "m", "m")
    for program in found.manifest.programs:
        assert program.certificate is not None
        recheck((found.path / program.certificate).read_bytes())
    assert len(found.manifest.groups) == 6 and len(found.manifest.programs) == 4
    rings = {tuple(loaded(found.path, p.file.path).parameters.ring.prime_bits) for p in found.manifest.programs}
    assert rings == {tuple(found.manifest.parameters["prime_bits"])}
    assert max(errors(found.path, read_adapter(example))) < 1e-3
