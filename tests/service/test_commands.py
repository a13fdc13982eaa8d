"""``slotlang serve``, ``token`` and ``client`` as commands."""

from __future__ import annotations

import json
import shlex
import socket
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from certificates import certificate as make_certificate
from command_line import slotlang
from json_shapes import EXAMPLES, agrees, shape
from served import LAYERS, D, Process, build, update_of

from slotlang.service.addresses import is_loopback
from slotlang.service.serving import Address

X = np.random.default_rng(5).standard_normal((3, D))


@pytest.fixture
def token(served: Process, monkeypatch: pytest.MonkeyPatch) -> str:
    found = served.token("alice")
    monkeypatch.setenv("SLOTLANG_TOKEN", found)
    return found


def test_files_in_files_out(served: Process, token: str, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    ended = slotlang("client", "update", served.url, LAYERS[0], f"{tmp_path}/x.npy", "-o", f"{tmp_path}/y.npy")
    assert (ended.status, ended.err) == (0, "")
    assert np.abs(np.load(tmp_path / "y.npy") - update_of(LAYERS[0], X)).max() < 1e-5
    several = ",".join(LAYERS)
    ended = slotlang("client", "update", served.url, several, f"{tmp_path}/x.npy", "-o", f"{tmp_path}/y.npz")
    assert ended.status == 0
    found = np.load(tmp_path / "y.npz")
    for layer in LAYERS:
        assert np.abs(found[layer] - update_of(layer, X)).max() < 1e-5


def test_small_updates_are_told_once_for_each_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(tmp_path / "service", precision=1e-3)
    np.save(tmp_path / "x.npy", np.tile(X, (3, 1)) * 1e-9)
    process = Process(tmp_path / "service")
    monkeypatch.setenv("SLOTLANG_TOKEN", process.token("alice"))
    try:
        words = process.url, ",".join(LAYERS[:2]), f"{tmp_path}/x.npy", "-o", f"{tmp_path}/y.npz"
        said = slotlang("client", "update", *words)
    finally:
        process.close()
    assert said.status == 0
    warned = said.err.splitlines()
    assert [line.partition(" is below")[0] for line in warned] == [
        f"warning[SL535]: the update of {layer}" for layer in LAYERS[:2]
    ]
    assert all(line.endswith("(the same holds for 4 other batches of it)") for line in warned)


def test_keys_of_a_file_rotate_and_end(served: Process, token: str, tmp_path: Path) -> None:
    secret = f"--secret={tmp_path}/secret"
    first = json.loads(slotlang("client", "keys", served.url, secret, "--json").out)["session"]
    assert json.loads(slotlang("client", "keys", served.url, secret, "--json").out)["session"] == first
    rotated = json.loads(slotlang("client", "keys", served.url, secret, "--rotate", "--json").out)["session"]
    assert rotated["id"] != first["id"] and rotated["keys"] != first["keys"]
    assert json.loads(slotlang("client", "keys", served.url, secret, "--json").out)["session"] == rotated
    assert slotlang("client", "keys", served.url, secret, "--end").out == "the session has ended\n"
    again = slotlang("client", "keys", served.url, secret, "--end")
    assert again.status == 0 and again.out.endswith(" has no session of this adapter at this service\n")
    assert json.loads(slotlang("client", "keys", served.url, secret, "--end", "--json").out)["ended"] is False
    assert json.loads(slotlang("client", "keys", served.url, secret, "--json").out)["session"]["id"] != rotated["id"]


@pytest.mark.parametrize("json", [[], ["--json"]])
def test_what_has_no_keys_has_no_session_to_end(served: Process, token: str, tmp_path: Path, json: list[str]) -> None:
    for path, why in ((tmp_path / "none", "there is no such file"), (tmp_path, "it is a folder")):
        ended = slotlang("client", "keys", served.url, "--secret", str(path), "--end", *json)
        assert ended.status == 2 and ended.err.startswith("error[SL582]"), ended.err
        assert why in ended.err and f"--> {path}" in ended.err and "hint" in ended.err
    assert not any(tmp_path.iterdir())
    # the key alone is gone: what it has at the service ends all the same
    secret = tmp_path / "secret"
    assert slotlang("client", "keys", served.url, "--secret", str(secret)).status == 0
    secret.unlink()
    ended = slotlang("client", "keys", served.url, "--secret", str(secret), "--end")
    assert (ended.status, ended.out) == (0, "the session has ended\n")
    assert slotlang("client", "keys", served.url, "--secret", str(secret), "--end").status == 2


REFUSED = {
    "an address that is none": (["client", "models", "127.0.0.1"], "SL005"),
    "another machine without TLS": (["client", "models", "http://192.0.2.1"], "SL563"),
    "nobody there": (["client", "models", "http://127.0.0.1:9"], "SL580"),
    "a module that is not there": (["client", "update", "URL", "nothing", "x.npy", "-o", "y.npy"], "SL571"),
    "x of other columns": (["client", "update", "URL", LAYERS[0], "narrow.npy", "-o", "y.npy"], "SL523"),
    "x that is too large": (["client", "update", "URL", LAYERS[0], "large.npy", "-o", "y.npy"], "SL531"),
    "an output of no format": (["client", "update", "URL", LAYERS[0], "x.npy", "-o", "y"], "SL005"),
    "the end of several modules' names": (["client", "update", "URL", "q_proj", "x.npy", "-o", "y.npy"], "SL571"),
    "an adapter that is not there": (["client", "modules", "URL", "--model", "none"], "SL571"),
    "a name that no adapter has": (["client", "modules", "URL", "--model", "a/b"], "SL005"),
    "two wishes": (["client", "keys", "URL", "--secret", "s", "--rotate", "--end"], "SL005"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_client_refuses(
    name: str, served: Process, token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import slotlang.client.connection as connection

    monkeypatch.setattr(connection, "_FIRST_WAIT", 0.001)
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", X)
    np.save("narrow.npy", X[:, 1:])
    np.save("large.npy", X * 1e9)
    words, code = REFUSED[name]
    words = [served.url if word == "URL" else word for word in words]
    ended = slotlang(*words)
    assert ended.status == 2 and ended.err.startswith(f"error[{code}]"), ended.err
    assert not Path("y.npy").exists()
    if "q_proj" in words:
        assert f"the whole name is needed: {LAYERS[0]}, {LAYERS[2]}\n" in ended.err
    if code in ("SL523", "SL531"):
        assert f"\n  --> {words[4]}\n" in ended.err


def test_a_token_comes_from_a_file_or_the_environment(
    served: Process, token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(f"{token}\n")
    monkeypatch.delenv("SLOTLANG_TOKEN")
    assert slotlang("client", "models", served.url).err.startswith("error[SL570]: there is no token")
    assert slotlang("client", "models", served.url, "--token-file", f"{tmp_path}/token").status == 0
    assert slotlang("client", "models", served.url, "--token-file", f"{tmp_path}/none").err.startswith("error[SL001]")
    monkeypatch.setenv("SLOTLANG_TOKEN", "slot_" + "a" * 43)
    assert slotlang("client", "models", served.url).err.startswith("error[SL570]: the service says:")


def test_tokens_are_made_listed_and_removed(tmp_path: Path) -> None:
    folder = str(tmp_path)
    assert slotlang("token", "list", folder).err == "there are no tokens\n"
    made = slotlang("token", "add", folder, "alice", "--model", "tiny")
    token = made.out.strip()
    assert "no adapter 'tiny'" in made.err
    assert token.startswith("slot_")
    assert slotlang("token", "add", folder, "root", "--admin").status == 0
    listed = slotlang("token", "list", folder).out
    assert "alice  tiny" in listed and "root  all adapters  admin" in listed and token not in listed
    assert slotlang("token", "remove", folder, "alice").out.startswith("removed ")
    assert slotlang("token", "remove", folder, "alice").err.startswith("error[SL005]: there is no token 'alice'")
    odd = slotlang("token", "add", folder, "../al ice").err
    assert odd.startswith("error[SL005]: '../al ice' is not a tenant's name") and "digit: al-ice\n" in odd
    odd = slotlang("token", "add", folder, "alice", "--model", "a/b").err
    assert odd.startswith("error[SL005]: 'a/b' is not the name of an adapter") and "digit: a-b\n" in odd
    assert len(slotlang("token", "list", folder).out.splitlines()) == 1
    assert slotlang("token", "add", f"{folder}/none", "alice").err.startswith("error[SL001]")


def test_tokens_are_not_made_in_a_wrong_place_without_a_word(tmp_path: Path) -> None:
    build(tmp_path / "service")
    (tmp_path / "file").write_text("")
    folder, note = str(tmp_path / "service"), "is it the folder that is served?"
    assert note not in slotlang("token", "add", folder, "alice").err
    assert note not in slotlang("token", "add", f"{folder}/tiny", "alice").err
    assert note in slotlang("token", "add", str(tmp_path), "alice").err
    for command in (["list", folder], ["remove", folder, "alice"]):
        for state in ("none", "file"):
            ended = slotlang("token", *command, "--state", str(tmp_path / state))
            assert ended.status == 2 and ended.err.startswith("error[SL001]") and f"{tmp_path / state}\n" in ended.err
    assert slotlang("token", "add", folder, "bob", "--state", str(tmp_path / "new")).status == 0
    ended = slotlang("token", "add", folder, "bob", "--state", "/proc/none")
    assert ended.err.startswith("error[SL564]") and "\n  --> /proc/none\n" in ended.err


def test_a_token_has_the_same_keys_whatever_says_it(tmp_path: Path) -> None:
    for options in ([], ["--admin"], ["--model", "tiny", "--model", "other"]):
        made = json.loads(slotlang("token", "add", str(tmp_path), "alice", *options, "--json").out)
        del made["token"], made["schema"]
        listed = json.loads(slotlang("token", "list", str(tmp_path), "--json").out)
        assert listed["schema"] == "slotlang.token.list/2" and listed["tokens"][-1] == made
        assert made["tenant"] == "alice" and made["models"] == (["tiny", "other"] if "--model" in options else None)


def test_the_loopback_alone_without_tls(tmp_path: Path) -> None:
    build(tmp_path)
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.com"):
        ended = slotlang("serve", str(tmp_path), "--host", host)
        assert ended.status == 2 and ended.err.startswith("error[SL563]"), ended.err
    for option in ("--idle", "--wait", "--rate", "--token-rate", "--lifetime", "--window"):
        for number in ("nan", "inf"):
            assert f"{option} is a finite number" in slotlang("serve", str(tmp_path), option, number).err
    half = slotlang("serve", str(tmp_path), "--ssl-certfile", "x.pem")
    assert half.err.startswith("error[SL005]: --ssl-certfile and --ssl-keyfile")
    absent = slotlang("serve", str(tmp_path), "--ssl-certfile", "x.pem", "--ssl-keyfile", "y.pem")
    assert absent.err.startswith("error[SL565]")
    assert [is_loopback(host) for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost")] == [True] * 4
    assert not is_loopback("localhost.example.com")
    assert Address("::1").url(1) == "http://[::1]:1"


def test_what_can_not_be_served(served: Process, tmp_path: Path) -> None:
    assert slotlang("serve", str(tmp_path)).err.startswith("error[SL561]: there is no built adapter")
    assert list(tmp_path.iterdir()) == [], "nothing is served, so there is no state"
    assert slotlang("serve", str(tmp_path / "none")).status == 2
    said = slotlang("serve", str(served.folder)).err
    assert "another service has it" in said and "serve another folder" in said
    build(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert slotlang("serve", str(tmp_path), "--port", port).err.startswith("error[SL565]")
    assert slotlang("serve", str(tmp_path), "--max-body", "many").err.startswith("error[SL005]: --max-body 'many'")
    none = tmp_path / "none"
    little = slotlang("serve", str(tmp_path), "--requests-memory", "511M", "--state", str(none))
    assert little.status == 2 and little.err.startswith("error[SL005]: --requests-memory 535822336 is too little")
    assert "hint: give it 536870912" in little.err and not none.exists()
    weights = tmp_path / "tiny" / "weights" / "0.weights"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert "0.weights has" in slotlang("serve", str(tmp_path)).err


def test_what_may_not_be_read_is_not_said_to_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir()
    monkeypatch.setattr("os.access", lambda path, *given, **more: "closed" not in str(path))
    ended = slotlang("serve", str(tmp_path))
    assert ended.err.startswith("error[SL561]") and "what is in closed can't be read" in ended.err

    def refuse(*given: object) -> bytes:
        raise PermissionError(13, "Permission denied")

    build(tmp_path)
    monkeypatch.setattr("slotlang.service.manifest.read_regular", refuse)
    ended = slotlang("serve", str(tmp_path))
    assert "Permission denied" in ended.err and "adapter build" not in ended.err


def test_tls_when_there_is_a_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = make_certificate(tmp_path)
    build(tmp_path / "service")
    options = "--ssl-certfile", certificate, "--ssl-keyfile", key, "--idle", "1"
    process = Process(tmp_path / "service", *options)
    try:
        assert process.url.startswith("https://")
        address = "127.0.0.1", int(process.url.rpartition(":")[2])
        # nothing, half of a handshake's first message, and no TLS: asyncio would wait for 60 seconds
        silent = []
        for sent in (b"", bytes.fromhex("1603010200010001fc0303"), b"GET / HTTP/1.1\r\n"):
            silent.append(socket.create_connection(address, timeout=30))
            silent[-1].sendall(sent)
        monkeypatch.setenv("SLOTLANG_TOKEN", process.token("alice"))
        assert slotlang("client", "models", process.url, "--cacert", certificate).status == 0
        # a certificate that nobody vouches for
        unknown = slotlang("client", "models", process.url).err
        assert unknown.startswith("error[SL580]") and "--cacert" in unknown
        plain = slotlang("client", "models", process.url.replace("https://", "http://")).err
        assert plain.startswith("error[SL580]") and "is it https://?" in plain
        for connection in silent:
            with connection, suppress(ConnectionResetError):
                # an alert at most, and the end
                while connection.recv(100):
                    pass
    finally:
        process.close()


SERVED = [example for example in EXAMPLES if example[0].startswith(("slotlang client", "slotlang token remove"))]


@pytest.mark.parametrize(("command", "status", "example"), SERVED, ids=[e[0] for e in SERVED])
def test_json_is_as_documented(
    command: str,
    status: str,
    example: str,
    served: Process,
    token: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "build").mkdir()
    (tmp_path / "service").symlink_to(served.folder)
    np.save("build/x.npy", X)
    served.token("bob")
    words = shlex.split(command.replace("http://127.0.0.1:8400", served.url))
    ended = slotlang(*words[1:])
    assert ended.status == int(status or 0), ended.err
    shown, printed = json.loads(example), json.loads(ended.out)
    assert shown["schema"] == printed["schema"] and list(shown) == list(printed)
    assert agrees(shape(shown), shape(printed)), command


def test_a_log_in_a_file_has_lines_alone(served: Process, token: str) -> None:
    assert slotlang("client", "models", served.url).status == 0
    said = served.log.read_text()
    assert "\x1b" not in said and "\r" not in said


def test_what_serve_prints_is_as_documented(served: Process) -> None:
    (shown,) = [json.loads(example) for command, _, example in EXAMPLES if command.startswith("slotlang serve")]
    assert agrees(shape(shown), shape(served.ready)) and list(shown) == list(served.ready)
