"""What a session has before it asks for updates: the adapter, a secret key, and its evaluation keys at the service."""

from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar
from urllib.parse import quote

from slotlang.client.adapter import Adapter, Crypto
from slotlang.client.connection import Connection
from slotlang.client.kept import forget, remember, remembered
from slotlang.client.problems import ServiceProblem, kept_to_protocol, otherwise
from slotlang.client.secrets import name_of, read_secret, secret_key
from slotlang.client.sessions import Sessions
from slotlang.diagnostics import SlotError, error
from slotlang.service.fields import Fields
from slotlang.service.manifest import NAME
from slotlang.service.problems import MISSING, NO_KEYS, OTHER_VERSION
from slotlang_runtime.amounts import count_of
from slotlang_runtime.client import SecretKey
from slotlang_runtime.errors import BYTES_OF_ANOTHER

Result = TypeVar("Result")
Given = ParamSpec("Given")

CLOSED = "this session is closed"
ROUNDS = 4
"""Times that a call starts because the adapter has another version, or the session is gone."""


_PAUSE = 0.3
"""Seconds before a third round, at most, and twice as many before a fourth one; a second one begins at once."""


_LAST = 5.0
"""Seconds in which a session that is not needed ends, or is left to expire."""


class Anew(Exception):
    """The call may start anew: what it lacked at the service is forgotten, and made when it is needed. ``problem``:
    what the user hears where that was tried often enough."""

    def __init__(self, problem: SlotError) -> None:
        super().__init__(str(problem))
        self.problem = problem


def call(
    method: Callable[Concatenate[Any, Given], Coroutine[Any, Any, Result]],
) -> Callable[Concatenate[Any, Given], Coroutine[Any, Any, Result]]:
    """A method that a session's user calls: it ends when the session is closed. Raises RuntimeError then, and where the
    session is another event loop's or another process's."""

    @functools.wraps(method)
    async def called(session: Any, /, *arguments: Given.args, **options: Given.kwargs) -> Result:
        session.check_usable()
        task = asyncio.ensure_future(method(session, *arguments, **options))
        session.under_way.add(task)
        try:
            found: Result = await task
            return found
        except asyncio.CancelledError:
            here = asyncio.current_task()
            if session.is_closed and not (here and here.cancelling()):
                raise RuntimeError(CLOSED) from None
            raise
        finally:
            session.under_way.discard(task)

    return called


class Keyed:
    """A session without updates. The options are those of ``AsyncSession``."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        model: str | None = None,
        secret: str | Path | SecretKey | None = None,
        certificates: str | Path | None = None,
        timeout: float = 150.0,
        tries: int = 6,
    ) -> None:
        if model is not None and not (isinstance(model, str) and NAME.fullmatch(model)):
            hint = "`slotlang client models URL` lists them"
            raise error("SL005", f"{model!r:.100} is not the name of an adapter", hint=hint)
        if not isinstance(secret, str | Path | SecretKey | None) or not isinstance(certificates, str | Path | None):
            # a key that is not taken would be one in memory
            raise error("SL005", "secret and certificates are files", hint="secret may be a SecretKey, too")
        trusted = None if certificates is None else Path(certificates)
        self._connection = Connection(url, token, certificates=trusted, timeout=timeout, tries=tries)
        self._sessions = Sessions(self._connection)
        self.url, self.model = self._connection.url, model
        self._file = Path(secret) if isinstance(secret, str | Path) else None
        self._secret = self._given = secret if isinstance(secret, SecretKey) else None
        self._adapter: Adapter | None = None
        self._crypto: Crypto | None = None
        self._evaluation_keys: bytes | None = None
        self._session: str | None = None
        self._keyed: Adapter | None = None
        # what the last call found to be ready
        self._found: tuple[Adapter, Crypto, str] | None = None
        self._lock = asyncio.Lock()
        # encryption and decryption, one at a time, while the network goes on
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="slotlang client")
        self.is_closed, self.under_way = False, set[asyncio.Task[Any]]()

    async def close(self) -> None:
        """Close connections, and end what is under way. The session stays at the service: ``end`` ends it. Closing it
        again changes nothing. Raises RuntimeError where another event loop uses it."""
        if self.is_forked:
            return
        is_here = self._connection.is_here
        self.is_closed = True
        while is_here and (calls := [one for one in self.under_way if not one.done()]):
            for one in calls:
                one.cancel()
            await asyncio.wait(calls)
        self._thread.shutdown(wait=False)
        await self._connection.close()

    @property
    def is_forked(self) -> bool:
        """Whether this process was forked from the session's, whose connections and threads are not its own."""
        return self._connection.is_forked

    def check_process(self) -> None:
        """Raise RuntimeError where the process ``is_forked``."""
        self._connection.check_process()

    def check_usable(self) -> None:
        """Raise RuntimeError where no call can begin: in a process that ``is_forked``, after ``close``, and in another
        event loop than that of the first call."""
        self.check_process()
        if self.is_closed:
            raise RuntimeError(CLOSED)
        self._connection.check_loop()

    async def __aenter__(self) -> Self:
        self.check_usable()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _worked(self, work: Callable[..., Result], *arguments: Any) -> Result:
        self.check_process()
        return await asyncio.get_running_loop().run_in_executor(self._thread, functools.partial(work, *arguments))

    # What there is

    @call
    async def models(self) -> list[dict[str, Any]]:
        """The adapters that the token may use: ``id``, ``root``, ``parent``, ``version`` and more."""
        answer = await self._connection.json("GET", "/v1/models")
        with kept_to_protocol():
            models = Fields(answer).parts("data")
            return [{**of.values, "id": of.text("id"), "version": of.text("version")} for of in models]

    @call
    async def adapter(self) -> Adapter:
        """The adapter, with its modules in ``places``."""
        async with self._lock:
            return await self._known()

    async def _known(self) -> Adapter:
        if self._adapter is None:
            name = self.model or await self._only()
            data = await self._connection.data(f"/v1/models/{quote(name, safe='')}/client")
            adapter = await self._worked(Adapter.from_bytes, data)
            if adapter.groups and adapter.ring:
                self.model, self._adapter, self._crypto = name, adapter, None
            else:
                raise otherwise("the adapter has no modules")
        return self._adapter

    async def _only(self) -> str:
        names = [str(model["id"]) for model in await self.models()]
        if len(names) != 1:
            hint = f"name one: {', '.join(names[:20])}" if names else ""
            raise ServiceProblem(MISSING, f"the service has {count_of(len(names), 'adapter')} for this token", hint)
        return names[0]

    # Keys

    async def _anew(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """The result of work, which starts a few times where it raises Anew."""
        for round_ in range(1, ROUNDS + 1):
            try:
                return await work()
            except Anew as anew:
                if round_ == ROUNDS:
                    raise anew.problem from None
                # where clients end each other's sessions, not all at the same moment
                await asyncio.sleep(random.uniform(0.0, _PAUSE) * (round_ - 1))
        raise AssertionError("a last round returns or raises")

    @asynccontextmanager
    async def _about(self, session: str) -> AsyncIterator[None]:
        """Within, the service is asked about a session. Raises Anew where it has ended, or where the service refuses
        its keys as those of another version of the adapter."""
        try:
            yield
        except ServiceProblem as problem:
            if problem.code not in (MISSING, BYTES_OF_ANOTHER):
                raise
            if problem.code == BYTES_OF_ANOTHER:
                self._adapter = None
            if session == self._session and problem.code == BYTES_OF_ANOTHER:
                await self._unfit(session)
            elif session == self._session:
                self._lost()
                await self._take_rotated()
            raise Anew(problem) from None

    @call
    async def keys(self) -> dict[str, Any]:
        """The session with its keys, made and sent where that is needed: ``id``, ``model``, ``expires`` and more."""
        return await self._anew(self._confirmed)

    async def _confirmed(self) -> dict[str, Any]:
        """The session, of which the service has just said that it has its keys."""
        async with self._lock:
            if self._session is not None:
                await self._whole(self._session)
            _, _, name = await self._ready()
            async with self._about(name):
                return await self._sessions.state(name)

    async def _whole(self, session: str) -> None:
        """Send what the service lacks of the present session's keys. Without them there is no present session any
        more."""
        async with self._about(session):
            state = await self._sessions.state(session)
            if not state["ready"] and self._evaluation_keys is not None:
                await self._sessions.send_rest(self._evaluation_keys, state)
            elif not state["ready"]:
                self._session = None
                await self._take_rotated()

    async def _ready(self) -> tuple[Adapter, Crypto, str]:
        adapter, secret = await self._fitting()
        if self._crypto is None:
            self._crypto = Crypto(adapter, secret)
        if self._session is None and self._file is not None:
            await self._resume(self._file, adapter, secret)
        if self._session is None:
            await self._send_keys(adapter, self._crypto)
        assert self._session is not None
        self._found = adapter, self._crypto, self._session
        return self._found

    async def _fitting(self) -> tuple[Adapter, SecretKey]:
        """The adapter, and a secret key of its ring. Raises ``SlotError``; Anew where the adapter, which was fetched
        before this, may have the ring by now."""
        latest = self._adapter is None
        adapter = await self._known()
        try:
            return adapter, await self._secret_for(adapter)
        except SlotError as problem:
            if latest:
                raise
            self._adapter = None
            raise Anew(problem) from None

    async def _secret_for(self, adapter: Adapter) -> SecretKey:
        if self._secret is None:
            self._secret = await self._worked(self._given_secret, adapter)
        if self._secret.ring != adapter.ring:
            await self._take_rotated()
        if self._secret.ring != adapter.ring:
            self._check_own(self._secret, adapter)
            # in memory, of a version with other parameters: nobody else has results for it
            before, secret = self._session, await self._worked(SecretKey, adapter.ring)
            self._renew(secret)
            if before is not None:
                await briefly(self._ended(before))
        return self._secret

    def _given_secret(self, adapter: Adapter) -> SecretKey:
        return SecretKey(adapter.ring) if self._file is None else secret_key(self._file, adapter.ring)

    def _check_own(self, secret: SecretKey, adapter: Adapter) -> None:
        """Raise ``ServiceProblem`` SL544 for a key of another ring that is not this session's own."""
        if self._file is None and self._given is None:
            return
        hint = f"give a secret key for {adapter.ring}"
        if self._file is not None:
            hint = (
                f"`rotate` makes new keys in the place of those in {self._file}; another file leaves these as they are"
            )
        raise ServiceProblem(
            "SL544", f"this secret key is for {secret.ring}, and {adapter.name} has {adapter.ring} now", hint
        )

    def _renew(self, secret: SecretKey) -> None:
        """Take another secret key, whose evaluation keys are made when they are needed."""
        self._secret, self._given = secret, None
        self._crypto, self._evaluation_keys, self._session = None, None, None

    async def _take_rotated(self) -> None:
        """Take the file's secret key where another process has rotated it: the service says so, and no result."""
        if self._file is not None and self._secret is not None:
            with suppress(FileNotFoundError, SlotError):
                secret = await self._worked(read_secret, self._file)
                if name_of(secret) != name_of(self._secret):
                    self._renew(secret)

    async def _resume(self, file: Path, adapter: Adapter, secret: SecretKey) -> None:
        """Go on with a session that an earlier process had, if it has its keys."""
        for name in remembered(file, self.url, adapter.name, name_of(secret)):
            try:
                if (await self._sessions.state(name))["ready"]:
                    self._session = name
                    return
            except ServiceProblem as problem:
                if problem.code != MISSING:
                    raise
                forget(file, name)

    async def _send_keys(self, adapter: Adapter, crypto: Crypto) -> None:
        if self._evaluation_keys is None:
            self._evaluation_keys = await self._worked(crypto.evaluation_keys)
        made = await self._sessions.new(adapter.name, self._evaluation_keys)
        self._session = name = str(made["id"])
        self._remember(adapter, name, self._secret)
        # a rotation that replaces the file's key from here on finds this session written down, and ends it
        await self._take_rotated()
        if self._session is None:
            await self._ended(name)
            hint = "try again"
            raise Anew(error("SL582", "other processes replace this secret key again and again", hint=hint))
        async with self._about(name):
            await self._sessions.send_rest(self._evaluation_keys, made)
        self._has_keys(adapter, name)

    async def _ended(self, name: str) -> None:
        """End a session that nobody needs."""
        await self._sessions.end(name)
        if self._file is not None:
            forget(self._file, name)

    def _has_keys(self, adapter: Adapter, name: str) -> None:
        """The service has the present keys, in this session."""
        self._session, self._keyed = name, adapter
        self._remember(adapter, name, self._secret)

    def _remember(self, adapter: Adapter, name: str, secret: SecretKey | None) -> None:
        """Write down a session that is for a secret key: it is gone on with when it has its keys, and ended in any
        case."""
        if self._file is not None and secret is not None:
            remember(self._file, self.url, adapter.name, name, name_of(secret))

    def _lost(self) -> None:
        """Nothing goes on with the present session."""
        if self._file is not None and self._session is not None:
            forget(self._file, self._session)
        self._session = None

    async def _unfit(self, session: str) -> None:
        """The keys of the present session do not fit: it ends, and others are made when they are needed."""
        self._evaluation_keys = None
        self._lost()
        await briefly(self._ended(session))

    async def _renewed(self, problem: ServiceProblem, adapter: Adapter, session: str) -> bool:
        """Whether what the service lacks was made anew, or is when it is needed, so that the call can start again."""
        async with self._lock:
            try:
                return await self._mended(problem, adapter, session)
            except Anew:
                return True

    async def _mended(self, problem: ServiceProblem, adapter: Adapter, session: str) -> bool:
        if problem.code == OTHER_VERSION:
            if self._adapter is adapter:
                self._adapter = None
            return True
        if problem.code not in (BYTES_OF_ANOTHER, MISSING, NO_KEYS):
            return False
        if self._session != session:
            # another call has made a session meanwhile
            return True
        if problem.code == BYTES_OF_ANOTHER:
            # keys that were made for another version may lack some of this one's
            if self._keyed is adapter:
                return False
            await self._unfit(session)
            return True
        await self._whole(session)
        # a module is missing where the session is there
        return problem.code == NO_KEYS or self._session is None


async def briefly(work: Awaitable[None]) -> None:
    """Do work that others need not wait for, if the network has not failed: no second wait for that. It goes on where
    its caller is cancelled."""

    async def limited() -> None:
        with suppress(ServiceProblem, TimeoutError):
            async with asyncio.timeout(_LAST):
                await work

    await asyncio.shield(limited())
