"""A service as a process: encrypted updates over real HTTP, and what it refuses."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import socket
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from served import LAYERS, D, Process, build, update_of

from slotlang.client import ServiceProblem, Session
from slotlang.client.adapter import Adapter, Crypto
from slotlang.diagnostics import SlotError
from slotlang.service.protocol import Frames, Item, Request
from slotlang_runtime import SecretKey
from slotlang_runtime.wire import pack

X = np.random.default_rng(3).standard_normal((5, D))
PRECISION = 1e-3


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("service") / "adapters"
    build(folder)
    build(folder, "other", layers=LAYERS[:1], seed=1)
    process = Process(folder, "--max-body", "8M", "--max-keys", "16M", "--max-tokens", "16", "--idle", "1")
    yield process
    process.close()


@pytest.fixture(scope="module")
def alice(served: Process) -> str:
    return served.token("alice")


class Raw:
    """The protocol by hand, for what no client sends."""

    def __init__(self, url: str, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        self.http = httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=30)
        self.adapter = Adapter.from_bytes(self.http.get("/v1/models/tiny/client").content)
        self.crypto = Crypto(self.adapter, SecretKey(self.adapter.ring))
        self.keys = self.crypto.evaluation_keys()

    def new_session(self, **more: Any) -> str:
        about = {"sha256": hashlib.sha256(self.keys).hexdigest(), "bytes": len(self.keys)}
        made = self.http.post("/v1/sessions", json={"model": "tiny", "keys": about, **more})
        assert made.status_code == 201, made.text
        return str(made.json()["id"])

    def session(self) -> str:
        name = self.new_session()
        if not self.http.get(f"/v1/sessions/{name}").json()["ready"]:
            sent = self.http.put(f"/v1/sessions/{name}/keys?offset=0", content=self.keys)
            assert sent.json()["ready"], sent.text
        return name

    def body(self, x: Any = X[:2], module: str = LAYERS[0], **changed: Any) -> bytes:
        upload = self.crypto.encrypt(self.adapter.groups[0], np.asarray(x).T.copy())
        request = {"adapter": "tiny", "version": self.adapter.version, **changed}
        return Request(**request, items=(Item("0", (module,)),), uploads={"0": upload}).to_bytes()

    def evaluate(self, session: str, body: bytes, key: str | None = None) -> httpx.Response:
        key = secrets.token_urlsafe(16) if key is None else key
        return self.http.post(f"/v1/sessions/{session}/evaluate", content=body, headers={"Idempotency-Key": key})


@pytest.fixture(scope="module")
def raw(served: Process, alice: str) -> Raw:
    return Raw(served.url, alice)


def refused(response: httpx.Response, status: int, code: str) -> str:
    assert (response.status_code, response.json()["error"]["code"]) == (status, code), response.text
    return str(response.json()["error"]["message"])


def hint_of(response: httpx.Response) -> str:
    return str(response.json()["error"]["hint"])


def admin_of(served: Process) -> httpx.Client:
    headers = {"Authorization": f"Bearer {served.token('root', admin=True)}"}
    return httpx.Client(base_url=served.url, headers=headers, trust_env=False, timeout=30)


def load(served: Process, name: str, path: str) -> httpx.Response:
    with admin_of(served) as admin:
        return admin.post("/v1/load_lora_adapter", json={"lora_name": name, "lora_path": path})


def off(y: Any, expected: Any) -> float:
    return float(np.sqrt(np.mean((y - expected) ** 2) / np.mean(expected**2)))


# What it is for


def test_updates_are_those_of_numpy(served: Process, alice: str) -> None:
    with Session(served.url, alice, model="tiny") as session:
        assert off(session.update(LAYERS[0], X), update_of(LAYERS[0], X)) < PRECISION
        # three modules, and tokens on two axes
        x = X[:4].reshape(2, 2, D).astype(np.float32)
        found = session.updates(LAYERS, x)
        assert [y.shape for y in found.values()] == [(2, 2, D)] * 3
        assert {y.dtype for y in found.values()} == {np.dtype(np.float32)}
        for layer in LAYERS:
            assert off(found[layer], update_of(layer, x)) < PRECISION
        assert session.update(LAYERS[0], np.zeros((0, D))).shape == (0, D)


def test_the_parameters_are_those_of_128_bits(raw: Raw) -> None:
    assert raw.adapter.ring.degree == 8192 and sum(raw.adapter.ring.prime_bits) <= 218


def test_keys_rotate_and_the_new_ones_serve(served: Process, alice: str) -> None:
    with Session(served.url, alice, model="tiny") as session:
        before = session.keys()
        after = session.rotate()
        assert after["id"] != before["id"] and after["keys"] != before["keys"]
        assert off(session.update(LAYERS[1], X), update_of(LAYERS[1], X)) < PRECISION
        session.end()
        assert session.keys()["id"] != before["id"]


@pytest.fixture
def changing(served: Process) -> Iterator[str]:
    """An adapter that gets other versions."""
    build(served.folder, "changing")
    assert load(served, "changing", "changing").status_code == 200
    yield "changing"
    with admin_of(served) as admin:
        assert admin.post("/v1/unload_lora_adapter", json={"lora_name": "changing"}).status_code == 204


@pytest.mark.parametrize(
    ("version", "file"),
    [
        ({"precision": 1e-3}, None),
        ({"gates": True, "precision": 1e-3}, None),
        ({"slots": 2 * D}, None),
        ({"slots": 2 * D}, "secret"),
    ],
)
def test_a_session_goes_on_with_a_version_of_another_ring_or_other_keys(
    served: Process, alice: str, changing: str, tmp_path: Path, version: dict[str, Any], file: str | None
) -> None:
    with Session(served.url, alice, model=changing, secret=file and tmp_path / file) as session:
        first, before = session.adapter(), session.keys()
        assert off(session.update(LAYERS[0], X), update_of(LAYERS[0], X)) < PRECISION
        build(served.folder, changing, seed=1, **version)
        assert load(served, changing, changing).status_code == 200
        assert off(session.update(LAYERS[0], X), update_of(LAYERS[0], X, 1)) < PRECISION
        assert (session.adapter().ring != first.ring) == ("precision" in version)
        assert session.keys()["id"] != before["id"]
        # the old one is not left there with its keys
        headers = {"Authorization": f"Bearer {alice}"}
        answer = httpx.get(f"{served.url}/v1/sessions/{before['id']}", headers=headers, trust_env=False)
        assert answer.status_code == 404
        # and back
        build(served.folder, changing)
        assert load(served, changing, changing).status_code == 200
        assert off(session.update(LAYERS[0], X), update_of(LAYERS[0], X)) < PRECISION


def test_a_key_in_a_file_is_not_lost_for_a_version_of_another_ring(
    served: Process, alice: str, changing: str, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    with Session(served.url, alice, model=changing, secret=secret) as session:
        session.update(LAYERS[0], X)
        before = secret.read_bytes()
        build(served.folder, changing, precision=1e-3)
        assert load(served, changing, changing).status_code == 200
        with pytest.raises(ServiceProblem, match="SL544") as found:
            session.update(LAYERS[0], X)
        assert "rotate" in str(found.value) and secret.read_bytes() == before
        # who starts now hears of it too
        with Session(served.url, alice, model=changing, secret=secret) as other:
            with pytest.raises(SlotError, match="SL582") as unusable:
                other.update(LAYERS[0], X)
            assert "--rotate" in str(unusable.value)
        session.rotate()
        assert secret.read_bytes() != before
        assert off(session.update(LAYERS[0], X), update_of(LAYERS[0], X)) < PRECISION
    with Session(served.url, alice, model=changing, secret=secret) as session:
        assert off(session.update(LAYERS[0], X), update_of(LAYERS[0], X)) < PRECISION
    build(served.folder, changing)
    assert load(served, changing, changing).status_code == 200
    with Session(served.url, alice, model=changing, secret=secret) as session:
        # without anything before it
        session.rotate()
        assert off(session.update(LAYERS[0], X), update_of(LAYERS[0], X)) < PRECISION


@pytest.mark.parametrize("version", [{"precision": 1e-3}, {"slots": 2 * D}])
@pytest.mark.parametrize("ended", [False, True])
def test_keys_are_of_the_version_that_the_service_has(
    served: Process, alice: str, changing: str, version: dict[str, Any], ended: bool
) -> None:
    with Session(served.url, alice, model=changing) as session:
        session.keys()
        if ended:
            session.end()
        build(served.folder, changing, **version)
        assert load(served, changing, changing).status_code == 200
        # nothing that was sent before says that there is another version
        assert (session.keys() if ended else session.rotate())["ready"]
        assert session.adapter().version == {m["id"]: m for m in session.models()}[changing]["version"]


def test_models_name_parent_root_and_version(served: Process, alice: str) -> None:
    with Session(served.url, alice) as session:
        models = {model["id"]: model for model in session.models()}
    assert set(models) == {"tiny", "other"}
    assert (models["tiny"]["parent"], models["tiny"]["root"]) == ("tiny-base", "tiny")
    assert models["tiny"]["version"] == served.ready["models"][1]["version"]


def test_what_a_client_gets_has_no_weights_and_no_code(raw: Raw, served: Process) -> None:
    data = raw.http.get("/v1/models/tiny/client").content
    assert len(data) < 10_000
    assert b"def " not in data and b"lambda" not in data
    assert all(group.updates and not hasattr(group, "weights") for group in raw.adapter.groups)


# Who may ask


@pytest.mark.parametrize("token", ["", "slot_" + "a" * 43, "slot_../../index", "x" * 5000])
def test_another_token_is_refused(served: Process, token: str) -> None:
    for path in ("/v1/models", "/v1/sessions", "/v1/models/tiny/client"):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        response = httpx.get(served.url + path, headers=headers, trust_env=False)
        refused(response, 401, "SL570")


def test_a_token_is_kept_as_its_hash_and_removed_at_once(served: Process) -> None:
    token, tenant = served.tokens.add("mallory")
    files = b"".join(p.read_bytes() for p in served.folder.rglob("*") if p.is_file() and p.suffix != ".weights")
    assert token.encode() not in files
    headers = {"Authorization": f"Bearer {token}"}
    assert httpx.get(f"{served.url}/v1/models", headers=headers, trust_env=False).status_code == 200
    served.tokens.remove(tenant.id)
    refused(httpx.get(f"{served.url}/v1/models", headers=headers, trust_env=False), 401, "SL570")


def test_a_session_of_another_tenant_looks_like_one_that_is_missing(served: Process, raw: Raw) -> None:
    mine, body = raw.session(), raw.body()
    bob = Raw(served.url, served.token("bob"))
    for name in (mine, "A" * 22):
        answers = [
            bob.http.get(f"/v1/sessions/{name}"),
            bob.http.delete(f"/v1/sessions/{name}"),
            bob.http.put(f"/v1/sessions/{name}/keys?offset=0", content=b"x"),
            bob.evaluate(name, body),
        ]
        told = {(a.status_code, a.content) for a in answers}
        assert len(told) == 1 and refused(answers[0], 404, "SL571")
    assert raw.http.get(f"/v1/sessions/{mine}").json()["ready"]
    assert mine not in bob.http.get("/v1/sessions").text


def test_an_adapter_that_a_tenant_may_not_use_looks_like_one_that_is_missing(served: Process) -> None:
    carol = served.token("carol", models=("other",))
    http = httpx.Client(base_url=served.url, headers={"Authorization": f"Bearer {carol}"}, trust_env=False)
    assert [m["id"] for m in http.get("/v1/models").json()["data"]] == ["other"]
    foreign, missing = http.get("/v1/models/tiny/client"), http.get("/v1/models/none/client")
    assert refused(foreign, 404, "SL571").replace("tiny", "none") == refused(missing, 404, "SL571")
    keys = {"sha256": "0" * 64, "bytes": 10}
    refused(http.post("/v1/sessions", json={"model": "tiny", "keys": keys}), 404, "SL571")


def test_loading_and_metrics_need_an_admin(served: Process, raw: Raw) -> None:
    refused(raw.http.get("/metrics"), 403, "SL570")
    refused(raw.http.post("/v1/unload_lora_adapter", json={"lora_name": "tiny"}), 403, "SL570")
    assert raw.evaluate(raw.session(), raw.body()).status_code == 200
    with admin_of(served) as admin:
        text = admin.get("/metrics").text
    assert "slotlang_evaluations_total" in text and 'slotlang_seconds_count{part="evaluate"}' in text
    assert "alice" not in text and LAYERS[0] not in text


def test_who_has_no_admins_token_hears_how_one_is_made(served: Process, alice: str) -> None:
    unknown = "slot_" + "a" * 43
    for given, status in (("", 401), ("Basic x", 401), (f"Bearer {unknown}", 401), (f"Bearer {alice}", 403)):
        headers = {"Authorization": given} if given else {}
        with httpx.Client(base_url=served.url, headers=headers, trust_env=False) as http:
            for answer in (http.get("/metrics"), http.post("/v1/load_lora_adapter", json={})):
                refused(answer, status, "SL570")
                assert "slotlang token add FOLDER TENANT" in hint_of(answer) and "--admin" in hint_of(answer)


def test_a_name_that_is_not_served_is_refused_with_those_that_the_token_sees(served: Process) -> None:
    def hints(**more: Any) -> list[str]:
        headers = {"Authorization": f"Bearer {served.token('some', admin=True, **more)}"}
        with httpx.Client(base_url=served.url, headers=headers, trust_env=False, timeout=30) as http:
            answers = [
                http.get("/v1/models/none/client"),
                http.post("/v1/unload_lora_adapter", json={"lora_name": "none"}),
                http.post("/v1/load_lora_adapter", json={"lora_name": "other", "lora_path": "/tiny"}),
            ]
        for answer in answers:
            refused(answer, 404, "SL571")
        return [hint_of(answer) for answer in answers]

    *served_here, built = hints()
    for hint in served_here:
        assert hint.startswith("adapters here: ") and "other" in hint and "tiny" in hint
    assert built.startswith("`lora_path` is a folder's path from there") and "other" in built and "tiny" in built
    *served_here, built = hints(models=("other",))
    assert served_here == ["adapters here: other"] * 2 and built.endswith("; built adapters there: other")


# What it is sent


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "the body is not an object of JSON"),
        (b"", "the body is not an object of JSON"),
        (b"[]", "the body is not an object of JSON"),
        (b'{"lora_name": "x"}', "`lora_path` is missing"),
        (b'{"lora_name": "x", "lora_path": "y", "z": 1}', "there is no `z` in this request"),
        (b'{"lora_name": 3, "lora_path": "y"}', "`lora_name` is not a text"),
    ],
)
def test_what_is_wrong_with_json_is_said(served: Process, body: bytes, said: str) -> None:
    with admin_of(served) as admin:
        answer = admin.post("/v1/load_lora_adapter", content=body, headers={"Content-Type": "application/json"})
        assert refused(answer, 422, "SL572") == said and hint_of(answer)
        # as curl -d sends it
        form = admin.post("/v1/load_lora_adapter", content=b"{}", headers={"Content-Type": "application/x-x"})
        assert refused(form, 422, "SL572") == "the body is not an object of JSON" and "--json" in hint_of(form)


def test_an_address_with_a_path_is_told_apart(served: Process, alice: str) -> None:
    with Session(f"{served.url}/v1", alice) as session, pytest.raises(SlotError, match="nothing at '/v1/v1/models'"):
        session.models()


def test_damaged_bodies_are_refused_before_any_work(raw: Raw) -> None:
    session, body = raw.session(), raw.body()
    refused(raw.evaluate(session, b""), 422, "SL543")
    refused(raw.evaluate(session, body[:-1]), 422, "SL543")
    refused(raw.evaluate(session, body + b"\0"), 422, "SL543")
    flipped = bytearray(body)
    flipped[len(body) // 2] ^= 1
    refused(raw.evaluate(session, bytes(flipped)), 422, "SL543")
    assert raw.evaluate(session, body).status_code == 200


def test_an_upload_of_another_kind_is_refused(raw: Raw) -> None:
    session = raw.session()
    secret = raw.crypto.secret.to_bytes()
    items = (Item("0", (LAYERS[0],)),)
    for upload in (secret, raw.keys, b"", pack("inputs", {}, {})[:8] + bytes(56)):
        body = Request("tiny", raw.adapter.version, items, {"0": upload}).to_bytes()
        response = raw.evaluate(session, body)
        assert response.status_code == 422 and response.json()["error"]["code"] in ("SL543", "SL544")
    # and a secret key is not taken as keys either
    about = {"sha256": hashlib.sha256(secret).hexdigest(), "bytes": len(secret)}
    name = raw.http.post("/v1/sessions", json={"model": "tiny", "keys": about}).json()["id"]
    assert "expected evaluation keys" in refused(
        raw.http.put(f"/v1/sessions/{name}/keys?offset=0", content=secret), 422, "SL544"
    )


BAD_LABELS: dict[str, Any] = {
    "no items": {"items": []},
    "items that are text": {"items": "x"},
    "an upload that is not there": {"items": [{"upload": "1", "modules": [LAYERS[0]]}]},
    "a module twice": {"items": [{"upload": "0", "modules": [LAYERS[0], LAYERS[0]]}]},
    "modules of two groups": {"items": [{"upload": "0", "modules": list(LAYERS[:2])}]},
    "something more": {"more": 1},
}


@pytest.mark.parametrize("name", BAD_LABELS)
def test_a_request_of_another_form_is_refused(name: str, raw: Raw) -> None:
    items = [{"upload": "0", "modules": [LAYERS[0]]}]
    label = {"adapter": "tiny", "version": raw.adapter.version, "items": items, **BAD_LABELS[name]}
    refused(raw.evaluate(raw.session(), pack("requests", label, {"0": b"x"})), 400, "SL572")


def test_too_much_is_refused(raw: Raw) -> None:
    session = raw.session()
    assert "8,388,608 bytes" in refused(raw.evaluate(session, bytes(9 << 20)), 413, "SL573")

    items, upload = tuple(Item("0", (LAYERS[0],)) for _ in range(9)), raw.crypto.encrypt(raw.adapter.groups[0], X[:2].T)
    body = Request("tiny", raw.adapter.version, items, {"0": upload}).to_bytes()
    assert "18 tokens" in refused(raw.evaluate(session, body), 413, "SL573")
    about = {"sha256": "0" * 64, "bytes": 1 << 30}
    refused(raw.http.post("/v1/sessions", json={"model": "tiny", "keys": about}), 413, "SL573")
    refused(raw.http.post("/v1/sessions", content=b"[" * (1 << 17)), 413, "SL573")


def received(connection: socket.socket, until: bytes) -> bytes:
    """What comes, up to these bytes: head and body may come one after the other."""
    answer = b""
    while until not in answer:
        more = connection.recv(1000)
        assert more, answer
        answer += more
    return answer


def test_a_body_that_does_not_come_is_given_up(served: Process, alice: str, raw: Raw) -> None:
    """And holds nobody else up meanwhile."""
    session, host = raw.session(), httpx.URL(served.url)
    with socket.create_connection((host.host, host.port or 0), timeout=10) as slow:
        head = (
            f"POST /v1/sessions/{session}/evaluate HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {alice}\r\n"
            "Idempotency-Key: 0123456789abcdef\r\nContent-Length: 1000\r\n\r\n"
        )
        slow.sendall(head.encode() + b"x" * 10)
        start = time.monotonic()
        assert raw.evaluate(session, raw.body()).status_code == 200
        answer = received(slow, b"SL575")
        assert b"408" in answer.split(b"\r\n")[0] and b"SL575" in answer
        assert time.monotonic() - start < 8


def test_a_body_may_come_in_pieces_for_longer_than_each_may_take(served: Process, alice: str, raw: Raw) -> None:
    """Nor does it matter how they are cut, or whether the next request comes with the last one."""
    session, host, body = raw.session(), httpx.URL(served.url), raw.body()

    def head(key: str, length: str) -> bytes:
        return (
            f"POST /v1/sessions/{session}/evaluate HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {alice}\r\n"
            f"Idempotency-Key: {key}\r\n{length}\r\n\r\n"
        ).encode()

    def answers(*pieces: bytes, pause: float = 0.0, count: int = 1) -> list[bytes]:
        with socket.create_connection((host.host, host.port or 0), timeout=10) as line:
            for piece in pieces:
                line.sendall(piece)
                time.sleep(pause)
            found = list[bytes]()
            with line.makefile("rb") as stream:
                for _ in range(count):
                    told = dict(part.lower().split(b": ") for part in iter(stream.readline, b"\r\n") if b": " in part)
                    found.append(stream.read(int(told[b"content-length"])))
            return found

    length, each = f"Content-Length: {len(body)}", -(-len(body) // 6)
    first = "0" * 16
    parts = [body[at : at + each] for at in range(0, len(body), each)]
    (slowly,) = answers(head(first, length), *parts, pause=0.3)
    assert slowly == raw.evaluate(session, body, first).content and slowly[8:15] == b"SLOTBOX"
    second = head("1" * 16, length) + body
    one, two, three = answers(head(first, length) + body + second + second, count=3)
    assert one == slowly and two == three and two[8:15] == b"SLOTBOX"


def test_a_token_for_some_adapters_has_no_sessions_of_others(raw: Raw, served: Process) -> None:
    """They are as any that are not there, and stay; nor does it get answers that are stored."""
    session, body, key = raw.session(), raw.body(), secrets.token_urlsafe(16)
    assert raw.evaluate(session, body, key).status_code == 200
    token, none, keyed = served.token("alice", models=("other",)), "A" * 22, {"Idempotency-Key": key}
    with httpx.Client(base_url=served.url, headers={"Authorization": f"Bearer {token}"}, trust_env=False) as http:
        assert session in {state["id"] for state in raw.http.get("/v1/sessions").json()["data"]}
        about = {"sha256": hashlib.sha256(raw.keys).hexdigest(), "bytes": len(raw.keys)}
        own = http.post("/v1/sessions", json={"model": "other", "keys": about}).json()["id"]
        assert {state["model"] for state in http.get("/v1/sessions").json()["data"]} == {"other"}
        for path, method, more in (
            ("", "GET", {}),
            ("", "DELETE", {}),
            ("/keys?offset=0", "PUT", {"content": b"x"}),
            ("/evaluate", "POST", {"content": body, "headers": keyed}),
        ):
            foreign, missing = (http.request(method, f"/v1/sessions/{n}{path}", **more) for n in (session, none))
            assert refused(foreign, 404, "SL571") == refused(missing, 404, "SL571") and foreign.text == missing.text
        # in a session that it has: of an adapter that it does not see, whoever asked for that before
        assert raw.evaluate(own, body, key).status_code == 200
        for served_now in True, False:
            if not served_now:
                with admin_of(served) as admin:
                    assert admin.post("/v1/unload_lora_adapter", json={"lora_name": "tiny"}).status_code == 204
            again = http.post(f"/v1/sessions/{own}/evaluate", content=body, headers=keyed)
            assert "no adapter 'tiny'" in refused(again, 404, "SL571")
        assert load(served, "tiny", "tiny").status_code == 200
    assert raw.evaluate(session, body, key).status_code == 200


@pytest.mark.parametrize("first", [b"", b"GET", b"GET /v1/models HTTP/1.1\r\nHost: x\r\n"])
def test_half_a_head_holds_no_connection(served: Process, alice: str, first: bytes) -> None:
    """Nor nothing at all, nor half of a second request; a byte now and then does not help."""
    host = httpx.URL(served.url)
    if first.endswith(b"\r\n"):
        first += f"Authorization: Bearer {alice}\r\n\r\n".encode()
    with socket.create_connection((host.host, host.port or 0), timeout=10) as slow:
        slow.sendall(first)
        if first.endswith(b"\r\n\r\n"):
            received(slow, b'"data"')
            slow.sendall(b"GET /v1")
        start = time.monotonic()
        slow.settimeout(0.3)
        while time.monotonic() - start < 15:
            try:
                if not slow.recv(1000):
                    break
            except TimeoutError:
                if first:
                    slow.sendall(b"a")
            except ConnectionResetError:
                break
        assert 0.5 < time.monotonic() - start < 10


def test_modules_and_versions_that_are_not_there(raw: Raw) -> None:
    session = raw.session()
    refused(raw.evaluate(session, raw.body(module="layers.9.q_proj")), 404, "SL571")
    refused(raw.evaluate(session, raw.body(adapter="nobody")), 404, "SL571")
    refused(raw.evaluate(session, raw.body(version="0" * 16)), 409, "SL577")


PATHS = ("..", "../adapters/tiny", "/etc", "tiny/../tiny", "%2e%2e", "tiny\0", ".state", "nothing", "", "a/" * 150)


@pytest.mark.parametrize("path", PATHS)
def test_adapters_are_loaded_from_below_the_folder_alone(path: str, served: Process) -> None:
    refused(load(served, "new", path), 404, "SL571")


def test_a_link_that_leads_out_of_the_folder_is_not_followed(served: Process, tmp_path: Path) -> None:
    build(tmp_path, "outside")
    (served.folder / "link").symlink_to(tmp_path / "outside")
    response = load(served, "new", "link")
    (served.folder / "link").unlink()
    refused(response, 404, "SL571")


@pytest.mark.parametrize("path", ["/v1/models/..%2f..%2fetc/client", "/v1/sessions/..%2f..", "/v1/models/%00/client"])
def test_names_in_addresses_are_no_paths(path: str, raw: Raw) -> None:
    assert raw.http.get(path).json()["error"]["code"] == "SL571"


def test_another_version_of_the_protocol_is_refused(raw: Raw) -> None:
    message = refused(raw.http.get("/v1/models", headers={"Slotlang-Protocol": "2"}), 400, "SL572")
    assert "speaks version 1" in message


# Answers and keys that last


def frames(response: httpx.Response) -> list[tuple[str, Any]]:
    assert response.status_code == 200, response.text
    return [(kind, dict(box.label)) for kind, box in Frames().take(response.content)]


def test_the_same_request_gets_the_stored_answer(served: Process, raw: Raw) -> None:
    session, body, key = raw.session(), raw.body(), secrets.token_urlsafe(16)
    first = raw.evaluate(session, body, key)
    assert [kind for kind, _ in frames(first)] == ["answer", "end"]
    assert frames(first)[0][1]["version"] == raw.adapter.version
    assert first.headers["Slotlang-Adapter"] == f"tiny@{raw.adapter.version}"
    assert raw.evaluate(session, body, key).content == first.content
    # another upload
    refused(raw.evaluate(session, raw.body(), key), 409, "SL576")
    for wrong in ("", "short", "x" * 101, "with space aaaaaaaa"):
        assert raw.evaluate(session, body, wrong).status_code in (400, 422)


def test_keys_are_sent_in_parts_and_go_on_where_they_stopped(raw: Raw) -> None:
    raw.crypto = Crypto(raw.adapter, SecretKey(raw.adapter.ring))
    raw.keys = raw.crypto.evaluation_keys()
    session, half = raw.new_session(), len(raw.keys) // 2
    path = f"/v1/sessions/{session}/keys?offset="
    refused(raw.evaluate(session, raw.body()), 409, "SL578")
    assert raw.http.put(f"{path}0", content=raw.keys[:half]).json()["received"] == half
    assert "begin at 0" in refused(raw.http.put(f"{path}0", content=raw.keys[:half]), 409, "SL572")
    assert raw.http.get(f"/v1/sessions/{session}").json()["received"] == half
    refused(raw.http.put(f"{path}{half}", content=raw.keys[half:] + b"x"), 413, "SL573")
    assert raw.http.put(f"{path}{half}", content=raw.keys[half:]).json()["ready"]
    assert raw.evaluate(session, raw.body()).status_code == 200
    # the same keys again need not travel
    assert raw.http.get(f"/v1/sessions/{raw.new_session()}").json()["ready"]


def test_keys_with_another_hash_are_dropped(raw: Raw) -> None:
    wrong = bytearray(raw.keys)
    wrong[-1] ^= 1
    about = {"sha256": hashlib.sha256(b"else").hexdigest(), "bytes": len(wrong)}
    name = raw.http.post("/v1/sessions", json={"model": "tiny", "keys": about}).json()["id"]
    refused(raw.http.put(f"/v1/sessions/{name}/keys?offset=0", content=bytes(wrong)), 422, "SL572")
    assert raw.http.get(f"/v1/sessions/{name}").json()["received"] == 0


def test_sessions_expire(raw: Raw) -> None:
    name = raw.new_session(lifetime=0.2)
    time.sleep(0.3)
    refused(raw.http.get(f"/v1/sessions/{name}"), 404, "SL571")


def test_an_unload_waits_and_a_load_changes_the_version(served: Process, alice: str) -> None:
    """Requests under way end well, later ones hear of the new version, and the client takes it by itself."""
    with admin_of(served) as admin, Session(served.url, alice, model="other") as session:
        assert off(session.update(LAYERS[0], X), update_of(LAYERS[0], X, seed=1)) < PRECISION
        build(served.folder, "newer", layers=LAYERS[:1], seed=2)
        loaded = load(served, "other", "newer").json()
        assert (loaded["id"], loaded["root"]) == ("other", "newer")
        assert off(session.update(LAYERS[0], X), update_of(LAYERS[0], X, seed=2)) < PRECISION
        assert admin.post("/v1/unload_lora_adapter", json={"lora_name": "other"}).status_code == 204
        refused(admin.post("/v1/unload_lora_adapter", json={"lora_name": "other"}), 404, "SL571")
        with pytest.raises(Exception, match="SL571"):
            session.update(LAYERS[0], X)
        assert load(served, "other", "other").status_code == 200


def test_an_admin_for_some_adapters_loads_and_unloads_no_others(served: Process) -> None:
    headers = {"Authorization": f"Bearer {served.token('root', models=('other',), admin=True)}"}
    with httpx.Client(base_url=served.url, headers=headers, trust_env=False, timeout=30) as admin:
        for path, more in (("load", {"lora_path": "tiny"}), ("unload", {})):
            answer = admin.post(f"/v1/{path}_lora_adapter", json={"lora_name": "tiny", **more})
            assert "tiny" in refused(answer, 404, "SL571")
        wanted = {"lora_name": "other", "lora_path": "other"}
        assert admin.post("/v1/load_lora_adapter", json=wanted).status_code == 200
    assert load(served, "tiny", "tiny").status_code == 200


@pytest.mark.parametrize(
    ("name", "like"), [("a/b", "a-b"), ("a b", "a-b"), ("../é", "adapter"), ("", "adapter"), ("a" * 120, "a" * 100)]
)
def test_a_name_that_is_none_is_refused_with_one_that_is_like_it(served: Process, name: str, like: str) -> None:
    answer = load(served, name, "tiny")
    assert refused(answer, 422, "SL572").startswith("`lora_name` ")
    assert (
        hint_of(answer)
        == f"a name has at most 100 letters, digits, `.`, `_` and `-`, the first a letter or digit: {like}"
    )


def test_a_damaged_program_is_not_loaded(served: Process) -> None:
    home = served.folder / "spoilt"
    build(served.folder, "spoilt")
    marker = served.folder.parent / "executed"
    program = home / "programs" / "square.py"
    program.write_text(f"open({str(marker)!r}, 'w')\n" + program.read_text())
    refused(load(served, "spoilt", "spoilt"), 422, "SL562")
    assert not marker.exists()


# What lasts: these restart the process, so they stand last


def test_a_restart_keeps_sessions_answers_and_tokens(served: Process, alice: str) -> None:
    raw = Raw(served.url, alice)
    session, body, key = raw.session(), raw.body(), secrets.token_urlsafe(16)
    first = raw.evaluate(session, body, key).content
    assert served.stop() == 0
    assert "Traceback" not in served.log.read_text()
    served.start()
    raw.http = httpx.Client(base_url=served.url, headers=raw.http.headers, trust_env=False, timeout=30)
    assert raw.http.get(f"/v1/sessions/{session}").json()["ready"]
    assert raw.evaluate(session, body, key).content == first
    assert raw.evaluate(session, raw.body()).status_code == 200


def test_a_damaged_index_is_made_anew_and_damaged_keys_are_asked_for(served: Process, alice: str) -> None:
    with Session(served.url, alice, model="tiny") as session:
        name = session.keys()["id"]
        others = {s["id"] for s in Raw(served.url, alice).http.get("/v1/sessions").json()["data"]}
        served.process.kill()
        served.process.wait()
        index = served.folder / ".state" / "index.sqlite"
        for end in ("-wal", "-shm"):
            index.with_name(index.name + end).unlink(missing_ok=True)
        data = bytearray(index.read_bytes())
        data[100:] = os.urandom(len(data) - 100)
        index.write_bytes(bytes(data))
        # and one session's keys
        kept = json.loads((served.folder / ".state" / "sessions" / f"{name}.json").read_text())["keys"]
        (blob,) = (served.folder / ".state" / "keys").rglob(kept)
        spoilt = bytearray(blob.read_bytes())
        spoilt[len(spoilt) // 2] ^= 1
        blob.write_bytes(bytes(spoilt))
        served.port = int(served.url.rpartition(":")[2])
        served.start()
        assert "made anew from the files" in served.log.read_text()
        now = {s["id"] for s in Raw(served.url, alice).http.get("/v1/sessions").json()["data"]}
        assert others <= now
        # the client sends the keys again by itself
        assert off(session.update(LAYERS[0], X), update_of(LAYERS[0], X)) < PRECISION
        assert session.keys()["id"] == name
        with sqlite3.connect(index) as check:
            assert check.execute("PRAGMA quick_check").fetchone() == ("ok",)
        check.close()
