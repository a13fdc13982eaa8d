"""Views of a file without processes: what tests of the page's server share."""

from __future__ import annotations

import asyncio

import httpx

from slotlang.page.server import TOKEN, application
from slotlang.page.sessions import Viewed

PORT = 8123
TEXT = (
    "program p(n = 4)\ninput x[n]\naxes (h < n)\ncipher X = x[h]\nS = X << 1\noutput y[(h + 1) % n] = S\nprove y == x\n"
)


class Here:
    """A worker in this process."""

    process_id = None

    def __init__(self, name, preloaded):
        self.name = name

    async def run(self, job, found=lambda _: None):
        _, function, arguments = job
        for item in function(*arguments):
            found(item)
            await asyncio.sleep(0)

    def end(self):
        pass


def client(file, **headers):
    transport = httpx.ASGITransport(application(Viewed(file), PORT, "secret"))
    return httpx.AsyncClient(
        transport=transport, base_url=f"http://127.0.0.1:{PORT}", headers={TOKEN: "secret", **headers}
    )


async def until(session, test):
    for _ in range(500):
        if test(session):
            return
        await asyncio.sleep(0.01)
    raise AssertionError(session)


def settled(session):
    return bool(session.job and session.job.done() and session.data)


def status(session):
    return session.data["programs"][0].get("verdict", {}).get("status")
