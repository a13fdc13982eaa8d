"""How the server is started, and how it ends."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from editor_client import COMMAND, PATIENT, SMALL, Client, capabilities
from lsprotocol import types


async def listening() -> tuple[asyncio.subprocess.Process, int]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*COMMAND, "--port", "0", stderr=pipe)
    assert process.stderr is not None
    line = (await asyncio.wait_for(process.stderr.readline(), PATIENT)).decode()
    assert line.startswith("listening on 127.0.0.1:")
    return process, int(line.rpartition(":")[2])


@pytest.mark.asyncio
async def test_two_clients_of_one_port() -> None:
    """Each has its own texts; one that leaves without a word does not end the other."""
    process, port = await listening()
    try:
        clients = []
        for number in range(2):
            client = Client()
            await client.start_tcp("127.0.0.1", port)
            await client.initialize_session(
                types.InitializeParams(capabilities=capabilities(), process_id=None, root_uri=None)
            )
            client.open("file:///a.slot", SMALL if number else "program")
            clients.append(client)
        assert [d.code for d in await clients[0].diagnosed("file:///a.slot")] == ["SL103"]
        clients[0].protocol.writer.close()  # type: ignore[union-attr]
        status = await clients[1].settled("file:///a.slot")
        assert [p.verdict for p in status.programs] == ["proved"]
        clients[1].protocol.writer.close()  # type: ignore[union-attr]
        # no other machine reaches it: it is bound to no other address
        listed = Path("/proc/net/tcp")
        if listed.exists():
            bound = {line.split()[1] for line in listed.read_text().splitlines()[1:]}
            assert [b for b in bound if b.endswith(f":{port:04X}")] == [f"0100007F:{port:04X}"]
    finally:
        process.terminate()
        await process.wait()


def test_a_client_that_dies_leaves_no_process() -> None:
    process = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(PATIENT) == 0


def test_ctrl_c() -> None:
    process = subprocess.Popen([*COMMAND, "--port", "0"], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None and process.stderr.readline().startswith("listening")
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENT) == 130


@pytest.mark.parametrize(
    "arguments",
    [["--port", "70000"], ["--port", "1", "--stdio"], pytest.param(["--port", "-1"], marks=pytest.mark.slow)],
)
def test_wrong_options(arguments: list[str]) -> None:
    ended = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert ended.returncode == 2 and ended.stderr.startswith("error[SL005]")


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = subprocess.run([*COMMAND, "--port", port], capture_output=True, text=True)
    assert ended.returncode == 2 and f"can't listen on port {port}" in ended.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="processes are listed by ps")
def test_no_worker_outlives_its_server() -> None:
    """A server that is killed in the middle of a proof."""
    script = (
        "import asyncio, pathlib, sys\n"
        "from slotlang.editor.engine import Engine\n"
        "from slotlang.editor.text import Text\n"
        "async def main():\n"
        "    engine = Engine(lambda d, s: print(s, flush=True))\n"
        "    engine.start()\n"
        f"    engine.open('a', None, Text({SMALL!r}))\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    while process.stdout.readline().strip() != "settled":
        pass
    process.kill()
    process.wait()
    deadline = time.monotonic() + PATIENT
    while time.monotonic() < deadline:
        listed = subprocess.run(["ps", "-o", "pid=", "-s", str(process.pid)], capture_output=True, text=True).stdout
        if not listed.split():
            return
        time.sleep(0.2)
    raise AssertionError(f"still there: {listed}")
