"""The checksum of containers is xxHash's, by kernels and by numpy."""

from __future__ import annotations

import numpy as np
import pytest
from byte_ways import WAYS, taken

from slotlang_runtime import checksums
from slotlang_runtime.checksums import checksum
from slotlang_runtime.kernels.library import kernels
from slotlang_runtime.kernels.unavailable import Unavailable

# xxh3_128_hexdigest of xxhash 4.1.0 (PyPI) for bytes(k * k % 251 for k in range(n))
DIGESTS = {
    241: "8f7b3b6898244931fa3e3f950b821a67",
    512: "7e8a5b4bd37d505cb5be4984ee278145",
    1024: "58ffb390b197a68aa3115476086f73f1",
    1025: "99fd280e417dee6866b070bd27327c00",
    5000: "03b1968210409dc8924c0d5e41418245",
    100_001: "d832bacc67a66f33e43023a86bce2291",
}
# and of short ones, with 256 zeros behind them
SHORT = {0: "bb039d71e9630a91a68dfbb1d75c6e8d", 240: "a10666e34ee84a3a15e8e47c615a1df7"}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    return taken(request.param, checksums, monkeypatch)


def pattern(count: int) -> bytes:
    return bytes(k * k % 251 for k in range(count))


@pytest.mark.parametrize(("count", "digest"), (DIGESTS | SHORT).items())
def test_it_is_that_of_the_xxhash_library(count: int, digest: str, way: str) -> None:
    data = pattern(count)
    assert checksum(data).hex() == digest
    # from any byte of memory on
    for start in (1, 3, 8):
        assert checksum(memoryview(b"x" * start + data)[start:]).hex() == digest


def test_kernels_and_numpy_agree_at_every_length(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        kernels("bytes")
    except Unavailable as reason:
        pytest.skip(str(reason))
    data = np.random.default_rng(0).bytes(4000)
    lengths = [*range(230, 330), *range(1000, 1110, 3), *range(2040, 2060), 3000, 4000]
    found = [checksum(data[:length]) for length in lengths]
    monkeypatch.setattr(checksums, "byte_kernels", lambda: None)
    assert [checksum(data[:length]) for length in lengths] == found
    assert len(set(found)) == len(lengths)


def test_every_bit_counts(way: str) -> None:
    data = bytearray(pattern(1500))
    seen = {checksum(bytes(data))}
    for place in range(1500):
        data[place] ^= 1 << place % 8
        seen.add(checksum(bytes(data)))
        data[place] ^= 1 << place % 8
    assert len(seen) == 1501
