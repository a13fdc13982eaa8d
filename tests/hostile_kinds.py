"""Requests that nobody honest sends, and which answers to each are right; ``hostile`` sends them."""

from __future__ import annotations

import hashlib
import json
import random
import secrets
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import numpy as np
from served import LAYERS, D, Process

from slotlang.client.adapter import Adapter, Crypto
from slotlang_runtime import SecretKey
from slotlang_runtime.wire import checksum_of, pack, unpack

IDLE = 1.0
OPTIONS = ("--max-body", "2M", "--max-keys", "16M", "--max-tokens", "16", "--idle", str(IDLE), "--rate", "100000")
CLOSED = 0
"""In the place of a status: the connection ends without an answer."""
_HEAD = 48


@dataclass(frozen=True)
class Attack:
    """``pieces``: what is sent, one after the other, and ``pause``: seconds between them; ``right``: statuses.
    ``like``: another request whose answer must be the same, but for these words of both. ``more``: nothing is sent
    after the pieces, and the connection stays open."""

    kind: str
    pieces: tuple[bytes, ...]
    right: frozenset[int]
    like: bytes = b""
    words: tuple[bytes, bytes] = (b"", b"")
    pause: float = 0.0
    ends: bool = False


def sealed(body: bytes, kind: str) -> bytes:
    """A container with the checksum and length of what is in it, whatever that is."""
    return struct.pack("<8s16sQ16s", b"SLOTBOX5", kind.encode(), len(body), checksum_of(kind, body)) + body


class Kinds:
    """Attacks on a service, drawn at random: by ``mallory``, who has a token and a session, and sees ``tiny`` alone."""

    def __init__(self, process: Process, seed: int = 0) -> None:
        self.process, self.rng = process, random.Random(seed)
        self.host = httpx.URL(process.url)
        self.token = process.token("mallory", models=("tiny",))
        self.session, self.adapter, self.crypto, self.keys = self._new(self.token, "tiny")
        self.foreign = self._new(process.token("victim"), "tiny")[0]
        self.upload = self.crypto.encrypt(self.adapter.groups[0], np.ones((D, 2)))
        self.body = self.request()
        self.replays: dict[str, tuple[bytes, bytes]] = {}

    def _new(self, token: str, model: str) -> tuple[str, Adapter, Crypto, bytes]:
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=self.process.url, headers=headers, trust_env=False, timeout=30) as http:
            adapter = Adapter.from_bytes(http.get(f"/v1/models/{model}/client").content)
            crypto = Crypto(adapter, SecretKey(adapter.ring))
            keys = crypto.evaluation_keys()
            about = {"sha256": hashlib.sha256(keys).hexdigest(), "bytes": len(keys)}
            name = str(http.post("/v1/sessions", json={"model": model, "keys": about}).json()["id"])
            http.put(f"/v1/sessions/{name}/keys?offset=0", content=keys).raise_for_status()
        return name, adapter, crypto, keys

    # Requests

    def request(self, **changed: object) -> bytes:
        """A body, with another label."""
        label = {
            "adapter": "tiny",
            "version": self.adapter.version,
            "items": [{"upload": "0", "modules": [LAYERS[0]]}],
            **changed,
        }
        return pack("requests", label, {"0": self.upload})

    def http(self, method: str, path: str, body: bytes = b"", *headers: str, token: str | None = None) -> bytes:
        """The bytes of a request."""
        given = [f"{method} {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {token or self.token}", *headers]
        if method == "POST" and not path.endswith("/evaluate"):
            given.append("Content-Type: application/json")
        if not any(line.lower().startswith(("content-length", "transfer-encoding")) for line in headers):
            given.append(f"Content-Length: {len(body)}")
        return "\r\n".join(given).encode("latin-1", "replace") + b"\r\n\r\n" + body

    def evaluate(self, body: bytes, *headers: str, session: str | None = None, key: str | None = None) -> bytes:
        """A request for evaluation."""
        key = secrets.token_urlsafe(16) if key is None else key
        path = f"/v1/sessions/{session or self.session}/evaluate"
        return self.http("POST", path, body, f"Idempotency-Key: {key}", *headers)

    # Kinds: each draws one

    def truncated(self) -> Attack:
        cut = self.body[: self.rng.randrange(len(self.body))]
        if self.rng.random() < 0.5:
            return Attack("truncated", (self.evaluate(cut),), frozenset({422}))
        # on the way: the head promises more
        whole = self.evaluate(self.body)
        return Attack("truncated", (whole[: self.rng.randrange(1, len(whole))],), frozenset({CLOSED, 400}), ends=True)

    def oversized(self) -> Attack:
        size = self.rng.choice([2 << 20, 3 << 20, 1 << 40, (1 << 63) - 1, 10**18]) + 1
        right = frozenset({413})
        match self.rng.randrange(4):
            case 0:
                return Attack("oversized", (self.evaluate(b"", f"Content-Length: {size}"),), right)
            case 1:
                head = self.evaluate(b"", "Transfer-Encoding: chunked")
                chunk = b"80000\r\n" + bytes(0x80000) + b"\r\n"
                return Attack("oversized", (head, *[chunk] * 5, b"0\r\n\r\n"), frozenset({411, CLOSED}))
            case 2:
                path = "/v1/sessions"
                return Attack("oversized", (self.http("POST", path, b"[" * (1 << 17)),), right)
            case _:
                keys = json.dumps(
                    {"model": "tiny", "keys": {"sha256": "0" * 64, "bytes": self.rng.choice([1 << 40, 1 << 60])}}
                )
                return Attack("oversized", (self.http("POST", "/v1/sessions", keys.encode()),), right)

    def foreign_session(self) -> Attack:
        other = "".join(self.rng.choices("ABCDEFGHabcdefgh0123456789-_", k=22))
        made: Callable[[str], bytes] = self.rng.choice(
            [
                lambda name: self.evaluate(self.body, session=name, key="k" * 20),
                lambda name: self.http("GET", f"/v1/sessions/{name}"),
                lambda name: self.http("DELETE", f"/v1/sessions/{name}"),
                lambda name: self.http("PUT", f"/v1/sessions/{name}/keys?offset=0", b"x"),
            ]
        )
        return Attack("foreign session", (made(self.foreign),), frozenset({404}), like=made(other))

    def foreign_adapter(self) -> Attack:
        made: Callable[[str], bytes] = self.rng.choice(
            [
                lambda name: self.http("GET", f"/v1/models/{name}/client"),
                lambda name: self.evaluate(self.request(adapter=name), key="k" * 20),
                lambda name: self.http(
                    "POST",
                    "/v1/sessions",
                    json.dumps({"model": name, "keys": {"sha256": "0" * 64, "bytes": 9}}).encode(),
                ),
            ]
        )
        # "others" is served, and not to this tenant
        return Attack(
            "foreign adapter", (made("others"),), frozenset({404}), like=made("nobody"), words=(b"others", b"nobody")
        )

    def replayed(self) -> Attack:
        if len(self.replays) < 5:
            self.replays[secrets.token_urlsafe(16)] = (self.request(), b"")
        key = self.rng.choice(list(self.replays))
        if self.rng.random() < 0.3 and self.replays[key][1]:
            other = self.request(items=[{"upload": "0", "modules": [LAYERS[1]]}])
            return Attack("replayed, another body", (self.evaluate(other, key=key),), frozenset({409}))
        return Attack(f"replayed {key}", (self.evaluate(self.replays[key][0], key=key),), frozenset({200}))

    def slow(self) -> Attack:
        whole = self.evaluate(self.body)
        head = whole.index(b"\r\n\r\n") + 4
        at = self.rng.choice([0, 1, 30, head - 3, head, head + 10, len(whole) - 1])
        right = frozenset({CLOSED, 408, 400})
        if self.rng.random() < 0.3:
            # a byte at a time, never ending
            return Attack("slow", tuple(whole[n : n + 1] for n in range(12)), right, pause=IDLE / 4)
        return Attack("slow", (whole[:at],), right)

    def wrong_length(self) -> Attack:
        given = self.rng.choice(["-1", "abc", "1e3", "0x10", "", "9" * 30, "5, 6", "+5", "5\r\nContent-Length: 6"])
        if self.rng.random() < 0.4:
            # h11 or the service refuses it; one that is a number, and too small, leaves bytes that are no request
            return Attack(
                "wrong length", (self.evaluate(self.body, f"Content-Length: {given}"),), frozenset({400, 413, CLOSED})
            )
        if self.rng.random() < 0.2:
            both = self.evaluate(self.body, f"Content-Length: {len(self.body)}", "Transfer-Encoding: chunked")
            return Attack("wrong length", (both,), frozenset({400, CLOSED}))
        # of a container: its own length, the label's, the number of records, a name's and a record's
        body = bytearray(self.body)
        (label,) = struct.unpack_from("<I", body, _HEAD)
        count = _HEAD + 4 + label
        place, form = self.rng.choice([(24, "<Q"), (_HEAD, "<I"), (count, "<I"), (count + 4, "<H"), (count + 6, "<Q")])
        most = 256 ** struct.calcsize(form) - 1
        (now,) = struct.unpack_from(form, body, place)
        new = self.rng.choice([n for n in (0, 1, now - 1, now + 1, most, most - 1, most // 2) if n != now])
        struct.pack_into(form, body, place, min(most, max(0, new)))
        if place != 24:
            body[:] = sealed(bytes(body[_HEAD:]), "requests")
        return Attack("wrong length", (self.evaluate(bytes(body)),), frozenset({400, 422}))

    def path_trick(self) -> Attack:
        name = self.rng.choice(
            [
                "..%2f..%2fetc%2fpasswd",
                "%00",
                "..",
                ".",
                "%2e%2e",
                "tiny%00",
                "tiny%2f..%2fothers",
                "a" * 3000,
                "%ff%fe",
                *(
                    "tiny/../others",
                    "..\\..\\x",
                    "%e2%80%ae",
                    "~root",
                    "$(id)",
                    "'%20OR%201=1--",
                    ".state",
                    "CON",
                    "tiny.",
                ),
            ]
        )
        path = self.rng.choice(
            [f"/v1/models/{name}/client", f"/v1/sessions/{name}", f"/v1/sessions/{name}/keys?offset=0"]
        )
        method = "PUT" if "offset" in path else "GET"
        if self.rng.random() < 0.4:
            plain = name.replace("%2f", "/").replace("%00", "\0")
            label = self.rng.choice(
                [{"adapter": plain}, {"version": plain}, {"items": [{"upload": "0", "modules": [plain]}]}]
            )
            return Attack("path trick", (self.evaluate(self.request(**label)),), frozenset({400, 404, 409, 422}))
        if self.rng.random() < 0.2:
            wanted = json.dumps({"lora_name": "x", "lora_path": name}).encode()
            return Attack("path trick", (self.http("POST", "/v1/load_lora_adapter", wanted),), frozenset({403}))
        return Attack("path trick", (self.http(method, path),), frozenset({400, 404, 405}))

    def forged(self) -> Attack:
        """Containers whose checksums are right and whose contents are not."""
        box = unpack("requests", self.body)
        inner = bytearray(self.upload)
        match self.rng.randrange(5):
            case 0:
                inner[self.rng.randrange(len(inner))] ^= 1 << self.rng.randrange(8)
                upload = bytes(inner)
            case 1:
                inner[self.rng.randrange(_HEAD, len(inner))] ^= 1 << self.rng.randrange(8)
                upload = sealed(bytes(inner[_HEAD:]), "inputs")
            case 2:
                upload = sealed(bytes(inner[_HEAD : self.rng.randrange(_HEAD, len(inner))]), "inputs")
            case 3:
                upload = self.rng.choice([self.keys, self.crypto.secret.to_bytes(), b"", self.body])
            case _:
                start = self.rng.randrange(_HEAD, len(inner) - 64)
                inner[start : start + 64] = b"\xff" * 64
                upload = sealed(bytes(inner[_HEAD:]), "inputs")
        # what changes residues alone is a ciphertext, of whatever
        body = pack("requests", dict(box.label), {"0": upload})
        return Attack("forged", (self.evaluate(body),), frozenset({200, 400, 422}))

    def damaged(self) -> Attack:
        body = bytearray(self.body)
        for _ in range(self.rng.choice([1, 1, 5, 100])):
            body[self.rng.randrange(len(body))] ^= 1 << self.rng.randrange(8)
        return Attack("damaged", (self.evaluate(bytes(body)),), frozenset({422}))

    def label(self) -> Attack:
        item = {"upload": "0", "modules": [LAYERS[0]]}
        label: dict[str, object] = self.rng.choice(
            [
                {"items": []},
                {"items": [item] * 9},
                {"items": [item] * 5000},
                {"items": "x" * 1000},
                {"items": [{"upload": "0"}]},
                {"items": [{"upload": "1", "modules": [LAYERS[0]]}]},
                {"items": [{"upload": "0", "modules": list(LAYERS)}]},
                {"items": [{"upload": "0", "modules": [LAYERS[0]] * 2}]},
                {"items": [None, 1, [], {}]},
                {"adapter": None},
                {"adapter": "x" * 100_000},
                {"version": 1},
                {"version": "0" * 16},
                {"more": [[[[]]]]},
            ]
        )
        return Attack("label", (self.evaluate(self.request(**label)),), frozenset({400, 404, 409, 413}))

    def bad_token(self) -> Attack:
        token = self.rng.choice(
            [
                *("", "x", "slot_../../index", "slot_" + "a" * 43, "a" * 20_000, "\xff" * 30),
                *(self.token[:-1], self.token + "x", self.token.swapcase()),
                hashlib.sha256(self.token.encode()).hexdigest(),
            ]
        )
        path = self.rng.choice(["/v1/models", "/v1/sessions", "/metrics", f"/v1/sessions/{self.foreign}"])
        request = self.http("GET", path, token=token or " ")
        if self.rng.random() < 0.3:
            request = self.evaluate(self.body, "X: y").replace(self.token.encode(), token.encode("latin-1"))
        return Attack("bad token", (request,), frozenset({401, 400, 431, CLOSED}))

    def not_http(self) -> Attack:
        data = self.rng.choice(
            [
                self.rng.randbytes(self.rng.randrange(1, 3000)),
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + self.rng.randbytes(200),
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
                b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
                b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZZZ\r\n",
                b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
                b"\0" * 1000,
                b"GET http://169.254.169.254/ HTTP/1.1\r\nHost: x\r\n\r\n",
                b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
            ]
        )
        return Attack("not HTTP", (data,), frozenset({400, 401, 404, 405, 411, 431, CLOSED}), ends=True)

    def json_bomb(self) -> Attack:
        body = self.rng.choice(
            [
                b"[" * 60_000,
                b'{"model": ' + b"9" * 60_000 + b"}",
                b'{"model": "tiny", "keys": {"sha256": "' + b"0" * 64 + b'", "bytes": -5}}',
                b'{"model": "tiny", "keys": {"sha256": "../../x", "bytes": 5}}',
                b'{"model": "tiny", "keys": {"sha256": "' + b"0" * 64 + b'", "bytes": 1e400}}',
                b'{"model": "tiny", "keys": {"sha256": "' + b"0" * 64 + b'", "bytes": 5}, "lifetime": NaN}',
                b"\xff\xfe" * 100,
                b"null",
                b"",
            ]
        )
        return Attack("JSON", (self.http("POST", "/v1/sessions", body),), frozenset({400, 413, 422}))

    def keys_out_of_place(self) -> Attack:
        offset = self.rng.choice(["-1", "1", "x", "99999999999999999999999", "", "0&offset=5", "1e9"])
        path = f"/v1/sessions/{self.session}/keys?offset={offset}"
        # of a session that has its keys nothing more is taken: its state is told
        return Attack("keys", (self.http("PUT", path, b"x" * 100),), frozenset({200, 409, 413, 422}))

    def method(self) -> Attack:
        method = self.rng.choice(["GET", "PATCH", "OPTIONS", "TRACE", "HEAD", "FOO"])
        path = self.rng.choice(
            [f"/v1/sessions/{self.session}/evaluate", "/v1/load_lora_adapter", "/nothing", "/v1//models"]
        )
        return Attack("method", (self.http(method, path),), frozenset({404, 405, 401}))

    def bad_key(self) -> Attack:
        key = self.rng.choice(["", "short", "x" * 101, "../" * 8, "k" * 16 + "\0", "k k" * 8, "\xff" * 20, "k" * 9000])
        return Attack("idempotency key", (self.evaluate(self.body, key=key),), frozenset({400, 422, 431, CLOSED}))

    def admin(self) -> Attack:
        path = self.rng.choice(["/v1/unload_lora_adapter", "/v1/load_lora_adapter", "/metrics"])
        body = json.dumps({"lora_name": "tiny", "lora_path": "tiny"}).encode()
        method = "GET" if path == "/metrics" else "POST"
        return Attack("admin's", (self.http(method, path, body),), frozenset({403}))

    def attacks(self, count: int) -> Iterator[Attack]:
        """This many, of all kinds in turn; of slow ones fewer."""
        kinds = [
            *(self.truncated, self.oversized, self.foreign_session, self.foreign_adapter, self.replayed),
            *(self.wrong_length, self.path_trick, self.forged, self.damaged, self.label, self.bad_token),
            *(self.not_http, self.json_bomb, self.keys_out_of_place, self.method, self.bad_key, self.admin, self.slow),
        ]
        for number in range(count):
            yield kinds[number % len(kinds)]()
