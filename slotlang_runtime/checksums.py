"""XXH3 with 128 bits, the checksum of containers: by a compiled kernel, and by numpy where there is none. Imports
neither tenseal nor numba.

XXH3 is more than ten times as fast as SHA-256. It is against damage, as any checksum without a key:
``docs/security.md`` says what is checked against forgers. The algorithm is that of the xxHash library
(https://github.com/Cyan4973/xxHash, doc/xxhash_spec.md) with its own secret and the seed 0. What has at most 240 bytes
is hashed with 256 zeros behind it, so that one of its algorithms is enough.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from slotlang_runtime.residues import byte_kernels

SIZE = 16
"""Bytes of a checksum."""

_SHORT, _MORE = 240, 256
_STRIPE, _BLOCK = 64, 1024
_SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
    "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
    "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364"
    "eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e"
    "2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
)
_SECRET_BYTES = np.frombuffer(_SECRET, np.uint8)
_SECRET_ADDRESS = _SECRET_BYTES.ctypes.data
_LOW, _HIGH = (np.frombuffer(_SECRET, "<u8", 8, at).tolist() for at in (11, len(_SECRET) - 64 - 11))
"""Words of the secret that the two halves are merged with."""
_PRIME32 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D
_PRIME64 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
_START = _PRIME32[2], *_PRIME64[:4], _PRIME32[1], _PRIME64[4], _PRIME32[0]
_WORD = (1 << 64) - 1
_MULTIPLIER = 0x165667919E3779F9

_WORDS = npt.NDArray[np.uint64]


def checksum(data: bytes | memoryview) -> bytes:
    """The checksum of bytes, as xxHash writes it: big-endian."""
    size = len(data)
    if size <= _SHORT:
        data = bytes(data) + bytes(_MORE)
        size += _MORE
    compiled, total = byte_kernels(), np.array(_START, np.uint64)
    given = np.frombuffer(data, np.uint8)
    if compiled is None:
        total = _accumulated(given, total)
    else:
        compiled.accumulated(given.ctypes.data, size, _SECRET_ADDRESS, total.ctypes.data)
    words = total.tolist()
    low = _merged(words, _LOW, size * _PRIME64[0] & _WORD)
    high = _merged(words, _HIGH, ~(size * _PRIME64[1]) & _WORD)
    return (high << 64 | low).to_bytes(SIZE, "big")


def _merged(words: list[int], secret: list[int], start: int) -> int:
    total = start
    for n in range(0, 8, 2):
        product = (words[n] ^ secret[n]) * (words[n + 1] ^ secret[n + 1])
        total += product >> 64 ^ product & _WORD
    total &= _WORD
    total = (total ^ total >> 37) * _MULTIPLIER & _WORD
    return total ^ total >> 32


def _accumulated(data: npt.NDArray[np.uint8], total: _WORDS) -> _WORDS:
    blocks = (len(data) - 1) // _BLOCK
    secrets = np.array([np.frombuffer(_SECRET, "<u8", 8, 8 * n) for n in range(_BLOCK // _STRIPE)])
    last, at = np.frombuffer(_SECRET, "<u8", 8, len(_SECRET) - _STRIPE), blocks * _BLOCK
    for added in _mixed(data[:at], secrets):
        total = total + added
        total = (total ^ total >> np.uint64(47) ^ last) * np.uint64(_PRIME32[0])
    stripes = (len(data) - 1 - at) // _STRIPE
    if stripes:
        total = total + _mixed(data[at : at + stripes * _STRIPE], secrets[:stripes])[0]
    end = np.frombuffer(_SECRET, "<u8", 8, len(_SECRET) - _STRIPE - 7)
    found: _WORDS = total + _mixed(data[-_STRIPE:], end[None])[0]
    return found


def _mixed(data: npt.NDArray[np.uint8], secrets: _WORDS) -> _WORDS:
    """What each block of as many stripes as there are secrets adds: blocks x 8."""
    words = np.ascontiguousarray(data).view("<u8").reshape(-1, *secrets.shape)
    mixed, low = words ^ secrets, np.uint64((1 << 32) - 1)
    beside = words.reshape(*words.shape[:2], 4, 2)[..., ::-1].reshape(words.shape)
    found: _WORDS = (beside + (mixed & low) * (mixed >> np.uint64(32))).sum(axis=1, dtype=np.uint64)
    return found
