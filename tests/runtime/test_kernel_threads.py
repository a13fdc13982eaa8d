"""Threads that share a ring of kernels: each gets the residues it would get alone."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from exact_residues import filled, residue_ring

from slotlang_runtime.kernels.operations import ResidueOperations
from slotlang_runtime.kernels.residues import ArrangedKey, Ciphertext, ResidueRing
from slotlang_runtime.kernels.team import Team

THREADS = 8
BITS = pytest.mark.parametrize("bits", [(60, 40, 60), (50, 40, 50)], ids=["words", "doubles"])


@pytest.fixture(autouse=True)
def often() -> Iterator[None]:
    """Threads change places often."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


class Bench:
    """A ring of its own, so that nothing of it is there before the threads, with keys of any residues."""

    def __init__(self, bits: tuple[int, ...]) -> None:
        known = residue_ring(4096, bits)
        given: Any = SimpleNamespace(
            degree=4096,
            moduli=known.ring.moduli,
            scales=[2.0**20, 2.0**40 / known.ring.moduli[1]],
            check_rotation=lambda step, level: None,
            check_conjugation=lambda level: None,
            check_relinearization=lambda level: None,
        )
        self.ring = ResidueRing(given)
        self.rng = np.random.default_rng(0)
        self.keys: dict[int, ArrangedKey] = {}
        moduli = given.moduli
        for element in (1, 8191, *(pow(3, n, 8192) for n in range(1, 6))):
            words = [filled("random", moduli, 4096, self.rng) for _ in range(4)]
            self.keys[element] = self.ring.key(np.array(words).reshape(2, 2, 3, 4096))
        self.inputs = [self.words() for _ in range(THREADS)]
        self.plain = self.ring.plaintext(self.words()[0], 0, 2.0**20, False)

    def words(self) -> Any:
        return np.array([filled("random", self.ring.ring.moduli[:2], 4096, self.rng) for _ in range(2)])

    def evaluated(self, x: Ciphertext, other: Ciphertext, team: Team | None = None) -> bytes:
        """A bit of everything."""
        kernels = None if team is None else team.kernels(self.ring.kernels)
        k = ResidueOperations(self.ring, self.keys.__getitem__, kernels)
        total: Any = other
        for step in range(1, 6):
            total = k.add(total, k.rotate(x, step), 1, owned=step > 1)
        product = k.relinearize(k.multiply(total, k.conjugate(other)))
        low = k.rescale(k.dot([(total, self.plain), (x, self.plain), (other, self.plain)]))
        high = k.add(k.negate(product), k.multiply_plain(x, self.plain), -1, owned=False)
        return self.ring.given(k.settled(high)).tobytes() + self.ring.given(low).tobytes()

    def taken(self, number: int) -> Ciphertext:
        return self.ring.taken(self.inputs[number], 0, 2.0**20)


def spread(task: Callable[[int], bytes]) -> list[bytes]:
    """Tasks by number, in threads that start at the same moment, twice each."""
    gate = threading.Barrier(THREADS)

    def started(number: int) -> bytes:
        gate.wait()
        first = task(number)
        assert task(number) == first
        return first

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(started, range(THREADS)))


@BITS
def test_threads_with_inputs_of_their_own(bits: tuple[int, ...]) -> None:
    bench = Bench(bits)
    found = spread(lambda number: bench.evaluated(bench.taken(number), bench.taken(number - 1)))
    gc.collect()
    alone = Bench(bits)
    assert found == [alone.evaluated(alone.taken(n), alone.taken(n - 1)) for n in range(THREADS)]
    assert len(set(found)) == THREADS


@BITS
def test_threads_with_the_same_ciphertexts(bits: tuple[int, ...]) -> None:
    # digits of a ciphertext are made by whoever needs them first
    bench = Bench(bits)
    x, others = bench.taken(0), [bench.taken(n) for n in range(THREADS)]
    found = spread(lambda number: bench.evaluated(x, others[number % 2]))
    alone = Bench(bits)
    expected = [alone.evaluated(alone.taken(0), alone.taken(n)) for n in range(2)]
    assert found == [expected[n % 2] for n in range(THREADS)]


@BITS
def test_digits_in_use_outlive_their_place_in_a_ciphertext(bits: tuple[int, ...], monkeypatch: Any) -> None:
    """As when two threads make digits of one ciphertext: the second one's take the place of the first one's, whose
    memory must not be used again while a kernel reads it."""
    bench = Bench(bits)
    x = bench.taken(0)
    functions = bench.ring.kernels._functions
    switched, used = functions["switched"], []

    def replaced(*arguments: int) -> None:
        x.digits = None
        # whoever asks for memory of this size gets it, and writes
        others = [bench.ring.rows(6) for _ in range(3)]
        for rows in others:
            bench.ring.view(rows)[:] = 1
        used.append(arguments[1] in [rows.at for rows in others])
        switched(*arguments)

    operations = ResidueOperations(bench.ring, bench.keys.__getitem__)
    expected = bench.ring.given(operations.settled(operations.rotate(bench.taken(0), 1)))
    monkeypatch.setitem(functions, "switched", replaced)
    found = bench.ring.given(operations.settled(operations.rotate(x, 1)))
    assert used == [False] and np.array_equal(found, expected)


@BITS
def test_rows_in_use_are_nobody_elses(bits: tuple[int, ...]) -> None:
    ring = residue_ring(4096, bits)

    def task(number: int) -> bytes:
        held = []
        for n in range(40):
            rows = ring.rows(1 + n % 3)
            ring.view(rows)[:] = number
            held.append(rows)
            if n % 5 == 4:
                assert all((ring.view(one) == number).all() for one in held)
                del held[::2]
        return b""

    spread(task)


@BITS
@pytest.mark.parametrize("helpers", [0, 1, 5])
def test_a_team_computes_what_one_thread_does(bits: tuple[int, ...], helpers: int) -> None:
    """Parts that others took, that nobody took, and helpers that come and go while kernels are called."""
    bench, team = Bench(bits), Team()
    expected = bench.evaluated(bench.taken(0), bench.taken(1))
    open_ = threading.Event()
    open_.set()

    def help_() -> None:
        while open_.is_set():
            team.help()

    threads = [threading.Thread(target=help_) for _ in range(helpers)]
    for thread in threads:
        thread.start()
    try:
        found = {bench.evaluated(bench.taken(0), bench.taken(1), team) for _ in range(20)}
    finally:
        open_.clear()
        team.leave()
        for thread in threads:
            thread.join()
    assert found == {expected}
    assert not team.help()


@BITS
def test_any_number_of_parts(bits: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    bench, found = Bench(bits), set[bytes]()
    for parts in (1, 2, 8):
        monkeypatch.setattr("slotlang_runtime.kernels.team.PARTS", parts)
        found.add(bench.evaluated(bench.taken(0), bench.taken(1), Team()))
    assert found == {bench.evaluated(bench.taken(0), bench.taken(1))}
