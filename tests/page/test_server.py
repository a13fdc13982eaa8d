"""The page as it is served: to its own page alone, for several views, of a file that changes and vanishes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.request

import pytest
from command_line import slotlang
from page_views import PORT, TEXT, client, settled, status, until

from slotlang.editor.workers import Failed
from slotlang.page import sessions as sessions_module
from slotlang.page.server import MAX_BODY, TOKEN
from slotlang.page.sessions import NoSession, Sessions, Viewed

OTHER = TEXT.replace("<< 1", "<< 2")


def test_only_the_page_itself_is_answered(file):
    async def go():
        for headers, code in [
            ({}, 200),
            ({"Host": f"localhost:{PORT}"}, 200),
            ({"Origin": f"http://127.0.0.1:{PORT}", "Sec-Fetch-Site": "same-origin"}, 200),
            ({"Host": "evil.example"}, 403),
            ({"Host": "127.0.0.1"}, 403),
            ({"Host": f"127.0.0.1:{PORT + 1}"}, 403),
            ({"Origin": "http://evil.example"}, 403),
            ({"Origin": "null"}, 403),
            ({"Origin": f"http://127.0.0.1:{PORT + 1}"}, 403),
            ({"Origin": f"https://127.0.0.1:{PORT}"}, 403),
            ({"Sec-Fetch-Site": "cross-site"}, 403),
            ({"Sec-Fetch-Site": "same-site"}, 403),
            ({TOKEN: "another"}, 403),
            ({TOKEN: ""}, 403),
        ]:
            async with client(file, **headers) as c:
                page = await c.get(f"/?token={c.headers[TOKEN]}")
                assert page.status_code == code, headers
                opened = await c.post("/open", json={})
                assert opened.status_code == code, headers
                assert ("session" in opened.json()) == (code == 200)
        async with client(file) as c:
            page = await c.get("/?token=secret")
            for path in ("/", "/?token=", "/?token=secret2", "/nothing?token=secret"):
                refused = await c.get(path, headers={TOKEN: "wrong"})
                assert refused.status_code == 403 and "whole address" in refused.json()["error"], path
            assert page.headers["x-frame-options"] == "DENY" and page.headers["cache-control"] == "no-store"
            assert "connect-src 'self'" in page.text and "access-control-allow-origin" not in page.headers
            # what a form of another page could send without asking
            assert (await c.post("/open", content=b"{}", headers={"Content-Type": "text/plain"})).status_code == 415

    asyncio.run(go())


def test_a_file_that_is_no_puzzles_is_never_written(file):
    async def go():
        async with client(file) as c:
            key = (await c.post("/open", json={})).json()["session"]
            found = await c.post("/keep", json={"session": key, "text": OTHER})
            assert found.status_code == 409 and "never written" in found.json()["error"]
            assert (await c.post("/keep", json={"session": key})).status_code == 400

    asyncio.run(go())
    assert file.read_text() == TEXT


def test_wrong_questions_have_answers(file):
    async def go():
        async with client(file) as c:
            key = (await c.post("/open", json={})).json()["session"]
            for path, body, code in [
                ("/text", {"session": "no", "text": ""}, 404),
                ("/text", {"session": [1], "text": ""}, 404),
                ("/text", {"session": key}, 400),
                ("/text", {"session": key, "text": 5}, 400),
                ("/value", {"session": key, "member": "x"}, 400),
                ("/value", {"session": key, "member": [True]}, 400),
                ("/text", [1], 404),
                ("/text", {"session": key, "text": "x" * MAX_BODY}, 404),
            ]:
                found = await c.post(path, json=body)
                assert found.status_code == code and found.json()["error"], (path, found.text)
            assert (await c.get("/wait?session=no")).status_code == 404
            assert (
                await c.post("/text", content=b"[" * 5000, headers={"Content-Type": "application/json"})
            ).status_code == 404

    asyncio.run(go())


def test_two_views_of_a_file_have_texts_of_their_own(file):
    async def go():
        async with client(file) as c:
            one, two = [(await c.post("/open", json={})).json()["session"] for _ in range(2)]
            await c.post("/text", json={"session": one, "text": OTHER})

            async def last(key):
                after = 0
                while True:
                    found = (await c.get(f"/wait?session={key}&after={after}")).json()
                    after = found["version"]
                    if found["data"] and "cost" in found["data"]["programs"][0]:
                        return found

            a, b = await last(one), await last(two)
            assert a["edited"] and a["text"] == OTHER and a["data"]["programs"][0]["verdict"]["status"] == "refuted"
            assert not b["edited"] and b["text"] == TEXT and b["data"]["programs"][0]["verdict"]["status"] == "proved"
            asked = {"session": one, "program": "p", "family": "S", "member": []}
            assert (await c.post("/value", json=asked)).json()["value"]["reads"] == [["X", [], 2, 1]]
            assert (await c.post("/value", json=asked | {"session": two})).json()["value"]["reads"] == [["X", [], 1, 1]]
            assert (await c.post("/value", json=asked | {"family": "Q"})).json()["value"] is None
            assert (await c.post("/revert", json={"session": one})).json()["text"] == TEXT

    asyncio.run(go())


def test_the_file_is_followed_and_what_was_typed_stays(file):
    async def go():
        sessions = Sessions(Viewed(file))
        sessions.start()
        follows, typed = sessions.open(), sessions.open()
        sessions.change(typed, TEXT + "# mine\n")
        await until(follows, settled)
        file.write_text(OTHER)
        await until(follows, lambda s: s.text == OTHER and settled(s) and status(s) == "refuted")
        assert typed.edited and typed.text.endswith("# mine\n")
        file.unlink()
        await until(follows, lambda s: sessions.notice)
        assert "SL001" in sessions.notice and "gone" in sessions.notice
        assert follows.text == OTHER, "the last text stays"
        assert sessions.notice in follows.state(sessions.notice, 0)["notice"]
        file.write_bytes(b"\xff\xfe")
        await until(follows, lambda s: "SL002" in sessions.notice)
        file.write_text(TEXT)
        await until(follows, lambda s: not sessions.notice and s.text == TEXT)
        sessions.stop()

    asyncio.run(go())


def test_what_is_known_of_the_text_before_is_never_that_of_the_text(file):
    async def go():
        sessions = Sessions(Viewed(file))
        session = sessions.open()
        await until(session, settled)
        assert session.state("", 0)["current"] and status(session) == "proved"
        sessions.change(session, OTHER)
        before = session.state("", 0)
        assert before["data"] is not None and not before["current"]
        # which claims hold is not known yet
        assert await sessions.value(session, "p", "S", []) is None
        await until(session, lambda s: s.current)
        await until(session, lambda s: status(s) == "refuted")
        sessions.stop()

    asyncio.run(go())


def test_a_verdict_does_not_outlive_a_change_of_what_the_text_imports(file):
    deep = file.parent / "deep.slot"
    (file.parent / "mine.slot").write_text('import "./deep.slot"\ndef turned(V) = moved(V)\n')
    file.write_text('import "./mine.slot"\n' + TEXT.replace("X << 1", "turned(X)"))

    async def go():
        sessions = Sessions(Viewed(file))
        sessions.start()
        session = sessions.open()
        await until(session, lambda s: s.current and not s.data["right"])
        for body, verdict in [("V << 1", "proved"), ("V << 2", "refuted"), ("V <<", None), ("V << 1 + 0", "proved")]:
            deep.write_text(f"def moved(V) = {body}\n")
            if verdict is None:
                await until(session, lambda s: s.current and not s.data["right"])
            else:
                await until(session, lambda s, v=verdict: s.current and s.data["right"] and status(s) == v)
        assert not session.edited
        sessions.stop()

    asyncio.run(go())


def test_a_text_that_is_broken_or_fails_leaves_the_view_alive(file, monkeypatch):
    async def go():
        sessions = Sessions(Viewed(file))
        session = sessions.open()
        await until(session, settled)
        sessions.change(session, "program p(")
        await until(session, lambda s: s.data and not s.data["right"])

        async def fails(job, found=None):
            raise Failed("no")

        session.worker.run = fails
        sessions.change(session, TEXT)
        await until(session, lambda s: s.problem)
        assert "error of slotlang" in session.state("", 0)["notice"]

    asyncio.run(go())


def test_the_view_that_asked_least_lately_makes_way(file):
    async def go():
        sessions = Sessions(Viewed(file))
        first = sessions.open()
        kept = [sessions.open() for _ in range(sessions_module.MOST_SESSIONS)]
        with pytest.raises(NoSession):
            sessions.session(first.key)
        assert all(sessions.session(s.key) is s for s in kept)
        sessions.stop()

    asyncio.run(go())


def test_what_is_wrong_with_the_command_is_said(tmp_path, file):
    for arguments, code in [
        ([str(tmp_path / "none.slot")], "SL001"),
        ([str(file), "--port", "99999"], "SL005"),
        ([str(file), "--set", "n"], "SL005"),
    ]:
        ended = slotlang("view", *arguments)
        assert ended.status == 2 and code in ended.err, ended


@pytest.mark.slow
def test_the_command_serves_until_it_is_interrupted(tmp_path):
    file = tmp_path / "p.slot"
    file.write_text(TEXT)
    command = [sys.executable, "-m", "slotlang", "view", str(file), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            text = ""
            while not text.rstrip().endswith("}"):
                text += server.stdout.readline()
            address = json.loads(text)["address"]
            assert address.startswith("http://127.0.0.1:")

            root, _, token = address.partition("?token=")

            def post(path, body):
                headers = {"Content-Type": "application/json", TOKEN: token}
                data = None if body is None else json.dumps(body).encode()
                return json.load(urllib.request.urlopen(urllib.request.Request(root + path, data, headers), timeout=60))

            key, after, found = post("open", {})["session"], 0, {}
            while not found.get("data") or "cost" not in found["data"]["programs"][0]:
                found = post(f"wait?session={key}&after={after}", None)
                after = found["version"]
            assert found["data"]["programs"][0]["verdict"]["status"] == "proved"
        finally:
            os.kill(server.pid, signal.SIGINT)
        assert server.wait(timeout=20) in (0, 130)
