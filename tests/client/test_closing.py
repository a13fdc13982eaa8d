"""Sessions that are closed, before and while they are used, and those of another event loop or thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from certificates import certificate
from loopback import Asked, Loopback, passed_on
from served import LAYERS, TOKENS, D, Process, update_of

from slotlang.client import AsyncSession, Session
from slotlang.client.adapter import Crypto

X = np.random.default_rng(4).standard_normal((TOKENS, D))
CALLS: dict[str, Callable[[Any], Any]] = {
    "models": lambda session: session.models(),
    "adapter": lambda session: session.adapter(),
    "keys": lambda session: session.keys(),
    "rotate": lambda session: session.rotate(),
    "end": lambda session: session.end(),
    "update": lambda session: session.update(LAYERS[0], X),
    "several": lambda session: session.updates(LAYERS, np.concatenate([X, X])),
    "none": lambda session: session.updates([], X),
    "enter": lambda session: session.__aenter__() if isinstance(session, AsyncSession) else session.__enter__(),
}
EACH = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
REMOTE = pytest.mark.parametrize("call", [CALLS[n] for n in CALLS if n not in ("none", "enter")])


@pytest.fixture(scope="module")
def token(served: Process) -> str:
    return served.token("alice")


class Silent:
    """A service that answers nothing more once it is told to, and says when it was asked."""

    def __init__(self, url: str, certificate: tuple[str, str] | None = None) -> None:
        self.asked, self.released, self.silent = threading.Event(), threading.Event(), False
        self.upstream = url
        self.server = Loopback(self.answer, certificate)

    def answer(self, asked: Asked) -> bytes | None:
        if not self.silent:
            return passed_on(asked, self.upstream)
        self.asked.set()
        self.released.wait(120)
        return None


@pytest.fixture
def silent(served: Process) -> Iterator[Silent]:
    found = Silent(served.url)
    with found.server:
        yield found
        found.released.set()


@EACH
@pytest.mark.parametrize("used", [False, True])
def test_a_closed_session_takes_no_call(served: Process, token: str, call: Callable[[Any], Any], used: bool) -> None:
    session = Session(served.url, token)
    if used:
        session.update(LAYERS[0], X)
    for _ in range(2):
        session.close()
        with pytest.raises(RuntimeError, match=r"^this session is closed$"):
            call(session)

    async def main() -> None:
        session = AsyncSession(served.url, token)
        if used:
            await session.update(LAYERS[0], X)
        for _ in range(2):
            await session.close()
            with pytest.raises(RuntimeError, match=r"^this session is closed$"):
                await call(session)

    asyncio.run(main())


@REMOTE
@pytest.mark.parametrize("secure", [False, True])
def test_a_close_ends_the_calls_of_other_threads(
    served: Process, token: str, tmp_path: Path, call: Callable[[Any], Any], secure: bool
) -> None:
    """Also one that waits in the thread that made it, for the answer to its only request."""
    files = certificate(tmp_path) if secure else None
    silent = Silent(served.url, files)
    with silent.server, ThreadPoolExecutor(2) as threads:
        session = Session(silent.server.url, token, tries=1, certificates=files and files[0])
        try:
            session.keys()
            silent.silent = True
            if call in (CALLS["adapter"],):
                session._inner._adapter = None
            ended = threads.submit(call, session)
            assert silent.asked.wait(60)
            session.close()
            session.close()
            with pytest.raises(RuntimeError, match=r"^this session is closed$"):
                ended.result(60)
        finally:
            silent.released.set()


@REMOTE
def test_a_close_ends_the_calls_of_other_tasks(silent: Silent, token: str, call: Callable[[Any], Any]) -> None:
    async def main() -> None:
        session = AsyncSession(silent.server.url, token, tries=1)
        await session.keys()
        silent.silent = True
        if call in (CALLS["adapter"],):
            session._adapter = None
        under_way = asyncio.ensure_future(call(session))
        assert await asyncio.to_thread(silent.asked.wait, 60)
        await asyncio.wait_for(asyncio.gather(session.close(), session.close()), 60)
        with pytest.raises(RuntimeError, match=r"^this session is closed$"):
            await asyncio.wait_for(under_way, 60)

    asyncio.run(main())


def test_a_call_that_its_task_gives_up_is_cancelled(silent: Silent, token: str) -> None:
    async def main() -> None:
        async with AsyncSession(silent.server.url, token, tries=1) as session:
            await session.keys()
            silent.silent = True
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await session.models()
            call = asyncio.ensure_future(session.models())
            await asyncio.sleep(0)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert not session.under_way

    asyncio.run(main())


def test_a_close_while_encrypting_sends_nothing(silent: Silent, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    began, released, plain = threading.Event(), threading.Event(), Crypto.encrypt

    def encrypt(self: Crypto, *arguments: Any) -> bytes:
        began.set()
        assert released.wait(60)
        return plain(self, *arguments)

    session = Session(silent.server.url, token, tries=1)
    session.keys()
    monkeypatch.setattr(Crypto, "encrypt", encrypt)
    before = len(silent.server.asked)
    with ThreadPoolExecutor(1) as threads:
        ended = threads.submit(session.update, LAYERS[0], X)
        assert began.wait(60)
        session.close()
        released.set()
        with pytest.raises(RuntimeError, match=r"^this session is closed$"):
            ended.result(60)
    assert len(silent.server.asked) == before


@EACH
@pytest.mark.parametrize("where", ["another run", "a thread"])
def test_a_session_is_one_event_loops(served: Process, token: str, call: Callable[[Any], Any], where: str) -> None:
    session = AsyncSession(served.url, token)

    async def first() -> None:
        await session.update(LAYERS[0], X)
        if where == "a thread":
            await asyncio.to_thread(asyncio.run, refused(session, call))
            with pytest.raises(RuntimeError, match="another event loop's"):
                await asyncio.to_thread(asyncio.run, session.close())
            # it is as it was
            assert np.abs(await session.update(LAYERS[0], X) - update_of(LAYERS[0], X)).max() < 1e-5
            await session.close()

    asyncio.run(first())
    if where == "another run":
        asyncio.run(refused(session, call))
        # its loop is closed: there is nobody else to close it
        asyncio.run(session.close())
        assert session.is_closed


def refused(session: AsyncSession, call: Callable[[Any], Any]) -> Coroutine[Any, Any, None]:
    async def main() -> None:
        with pytest.raises(RuntimeError, match=r"^this session is another event loop's"):
            await call(session)

    return main()


def test_two_event_loops_that_wait_for_one_lock_hear_whose_it_is(silent: Silent, token: str) -> None:
    """And not what asyncio says of its lock."""

    async def main() -> None:
        async with AsyncSession(silent.server.url, token, tries=1) as session:
            silent.silent = True
            under_way = asyncio.ensure_future(session.adapter())
            assert await asyncio.to_thread(silent.asked.wait, 60)
            await asyncio.to_thread(asyncio.run, refused(session, CALLS["adapter"]))
            under_way.cancel()

    asyncio.run(main())


def test_threads_share_a_session_and_a_loop_may_run_in_the_caller(served: Process, token: str) -> None:
    with Session(served.url, token) as session, ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda layer: session.update(layer, X), LAYERS * 2))
        for layer, y in zip(LAYERS * 2, found, strict=True):
            assert np.abs(y - update_of(layer, X)).max() < 1e-5

        async def main() -> Any:
            return session.update(LAYERS[0], X)

        assert np.abs(asyncio.run(main()) - update_of(LAYERS[0], X)).max() < 1e-5
