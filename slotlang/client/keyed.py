"""What a session has before it asks for updates: the adapter, a secret key, and its evaluation keys at the service."""

from __future__ import annotations

import asyncio
import functools
import hashlib
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

from slotlang.client.adapter import Adapter, Crypto
from slotlang.client.connection import Connection
from slotlang.client.kept import forget, remember, remembered
from slotlang.client.problems import ServiceProblem, kept_to_protocol, otherwise
from slotlang.client.secrets import name_of, read_secret, secret_key, write_secret
from slotlang.diagnostics import SlotError
from slotlang.service.fields import Fields, Wrong
from slotlang.service.problems import MALFORMED, MISSING, NO_KEYS, OTHER_VERSION
from slotlang.service.protocol import SESSION_ID
from slotlang_runtime.amounts import count_of
from slotlang_runtime.client import SecretKey
from slotlang_runtime.errors import BYTES_OF_ANOTHER

Result = TypeVar("Result")

_CHUNK = 1 << 22
"""Bytes of keys in one request: what is lost when the network fails."""
_LAST = 5.0
"""Seconds in which a session that is not needed ends, or is left to expire."""
ROUNDS = 3
"""Times that a call starts anew because the adapter has another version, or the session is gone."""


class _OtherKeys(ServiceProblem):
    """The service refuses keys as those of another version of the adapter."""

    def __init__(self, said: ServiceProblem) -> None:
        super().__init__(said.code, said.diagnostics[0].message, said.diagnostics[0].hint)


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
        trusted = None if certificates is None else Path(certificates)
        self._connection = Connection(url, token, certificates=trusted, timeout=timeout, tries=tries)
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

    async def close(self) -> None:
        """Close connections. The session stays at the service: ``end`` ends it."""
        if not self.is_forked:
            await self._connection.close()
            self._thread.shutdown(wait=False)

    @property
    def is_forked(self) -> bool:
        """Whether this process was forked from the session's, whose connections and threads are not its own."""
        return self._connection.is_forked

    def check_process(self) -> None:
        """Raise RuntimeError where the process ``is_forked``."""
        self._connection.check_process()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _worked(self, work: Callable[..., Result], *arguments: Any) -> Result:
        self.check_process()
        return await asyncio.get_running_loop().run_in_executor(self._thread, functools.partial(work, *arguments))

    # What there is

    async def models(self) -> list[dict[str, Any]]:
        """The adapters that the token may use: ``id``, ``root``, ``parent``, ``version`` and more."""
        answer = await self._connection.json("GET", "/v1/models")
        with kept_to_protocol():
            models = Fields(answer).parts("data")
            return [{**of.values, "id": of.text("id"), "version": of.text("version")} for of in models]

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

    async def keys(self) -> dict[str, Any]:
        """The session with its keys, made and sent where that is needed: ``id``, ``model``, ``expires`` and more."""
        async with self._lock:
            await self._confirmed()
            _, _, name = await self._ready()
            return await self._state(name)

    async def _confirmed(self) -> None:
        """Forget a session that the service has ended, and send what it lacks of its keys."""
        if self._session is None:
            return
        try:
            state = await self._state(self._session)
        except ServiceProblem as problem:
            if problem.code != MISSING:
                raise
            await self._gone()
            return
        if not state["ready"] and self._evaluation_keys is not None:
            with suppress(_OtherKeys):
                await self._send_rest(self._evaluation_keys, state)

    async def _ready(self) -> tuple[Adapter, Crypto, str]:
        return await self._of_its_version(self._made_ready)

    async def _of_its_version(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """The result of work, which starts anew where the service refuses keys as those of another version."""
        for _ in range(ROUNDS - 1):
            with suppress(_OtherKeys):
                return await work()
        return await work()

    async def _made_ready(self) -> tuple[Adapter, Crypto, str]:
        adapter = await self._known()
        if self._crypto is None:
            if self._secret is None:
                self._secret = await self._worked(self._given_secret, adapter)
            if self._secret.ring != adapter.ring:
                self._check_own(self._secret, adapter)
                # in memory, of a version with other parameters: nobody else has results for it
                self._renew(await self._worked(SecretKey, adapter.ring))
            self._crypto = Crypto(adapter, self._secret)
        if self._session is None and self._file is not None:
            await self._resume(self._file, adapter, self._crypto.secret)
        if self._session is None:
            await self._send_keys(adapter, self._crypto)
        assert self._session is not None
        self._found = adapter, self._crypto, self._session
        return self._found

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

    async def _resume(self, file: Path, adapter: Adapter, secret: SecretKey) -> None:
        """Go on with the session that an earlier process had, if it has its keys."""
        name = remembered(file, self.url, adapter.name, name_of(secret))
        if name is None:
            return
        self._session = name
        try:
            if not (await self._state(name))["ready"]:
                self._session = None
        except ServiceProblem as problem:
            self._session = None
            if problem.code != MISSING:
                raise

    async def _state(self, name: str) -> dict[str, Any]:
        return _session(await self._connection.json("GET", f"/v1/sessions/{name}"))

    async def _send_keys(self, adapter: Adapter, crypto: Crypto) -> None:
        if self._evaluation_keys is None:
            self._evaluation_keys = await self._worked(crypto.evaluation_keys)
        made = await self._new_session(adapter, self._evaluation_keys)
        self._session = made["id"]
        await self._send_rest(self._evaluation_keys, made)
        self._has_keys(adapter, made["id"])

    async def _new_session(self, adapter: Adapter, keys: bytes) -> dict[str, Any]:
        about = {"sha256": hashlib.sha256(keys).hexdigest(), "bytes": len(keys)}
        # one that was made and whose answer was lost expires unused, or is evicted first
        return _session(await self._connection.json("POST", "/v1/sessions", {"model": adapter.name, "keys": about}))

    def _has_keys(self, adapter: Adapter, name: str) -> None:
        """The service has the present keys, in this session."""
        self._session, self._keyed = name, adapter
        if self._file is not None and self._secret is not None:
            remember(self._file, self.url, adapter.name, name, name_of(self._secret))

    async def _gone(self) -> None:
        """The service has ended the present session. Where another process has rotated the file's key, the new one is
        taken: the service says so, and no result."""
        if self._file is not None and self._secret is not None:
            with suppress(FileNotFoundError, SlotError):
                secret = await self._worked(read_secret, self._file)
                if name_of(secret) != name_of(self._secret):
                    self._renew(secret)
                    return
        self._lost()

    def _lost(self) -> None:
        """Nothing goes on with the present session."""
        self._session = None
        if self._file is not None:
            forget(self._file)

    async def _send_rest(self, keys: bytes, state: dict[str, Any]) -> None:
        """Send what the service does not have; after a fault, from where it then is. Raises ``_OtherKeys``."""
        failures = 0
        while state["coming"]:
            offset = state["received"]
            if not 0 <= offset <= len(keys):
                raise otherwise("it has more of the keys than there are")
            # of keys that are all there the service ended before it had checked them: an empty part makes it go on
            path = f"/v1/sessions/{state['id']}/keys?offset={offset}"
            try:
                state = _session(await self._connection.put(path, memoryview(keys)[offset : offset + _CHUNK]))
                if state["coming"] and state["received"] <= offset:
                    raise otherwise("it takes no keys")
                failures = 0
            except ServiceProblem as problem:
                if problem.code == BYTES_OF_ANOTHER:
                    # the service has another version of the adapter
                    self._adapter = self._evaluation_keys = None
                    self._lost()
                    raise _OtherKeys(problem) from None
                failures += 1
                if failures >= self._connection.tries or not (problem.again or problem.code == MALFORMED):
                    raise
                await asyncio.sleep(max(0.1 * 2**failures, problem.wait or 0.0))
                state = await self._state(state["id"])

    async def rotate(self) -> dict[str, Any]:
        """A new secret key, and a new session with evaluation keys for it, in the place of the present ones, which may
        be of another ring. The keys of a session never change: whoever goes on with the old one, from the same file in
        another process, has right updates until it ends, and then takes the new key from the file."""
        async with self._lock:
            if self._secret is None and self._file is not None:
                with suppress(FileNotFoundError):
                    # what is replaced is a secret key
                    await self._worked(read_secret, self._file)
            old = {self._session, await self._remembered()} - {None}
            new = await self._of_its_version(self._rotated)
            for name in old:
                # one that stays expires
                with suppress(ServiceProblem):
                    await self._delete(name)
            return await self._state(new)

    async def _rotated(self) -> str:
        """The name of the new session."""
        adapter = await self._known()
        secret = await self._worked(SecretKey, adapter.ring)
        crypto = Crypto(adapter, secret)
        keys = await self._worked(crypto.evaluation_keys)
        made = await self._new_session(adapter, keys)
        try:
            await self._send_rest(keys, made)
            if self._file is not None:
                write_secret(self._file, secret)
        except Exception:
            # what has failed may be the network: no second wait for it
            with suppress(ServiceProblem, TimeoutError):
                async with asyncio.timeout(_LAST):
                    await self._delete(made["id"])
            raise
        self._secret, self._given = secret, None
        self._crypto, self._evaluation_keys = crypto, keys
        name = str(made["id"])
        self._has_keys(adapter, name)
        return name

    async def _remembered(self) -> str | None:
        """The session that was written down beside the file, whichever key it is for."""
        if self._file is None:
            return None
        return remembered(self._file, self.url, self.model or (await self._known()).name)

    async def _delete(self, name: str | None) -> None:
        try:
            await self._connection.json("DELETE", f"/v1/sessions/{name}")
        except ServiceProblem as problem:
            # it has expired, or a first try ended it
            if problem.code != MISSING:
                raise

    async def end(self) -> bool:
        """End the session at the service: it deletes the keys. Whether there was a session, as far as is known here."""
        async with self._lock:
            if self._session is None:
                self._session = await self._remembered()
            known = self._session is not None
            if known:
                await self._delete(self._session)
            self._lost()
            return known

    async def _renewed(self, problem: ServiceProblem, adapter: Adapter, session: str) -> bool:
        """Whether what the service lacks was made anew, so that the call can start again."""
        async with self._lock:
            if problem.code == OTHER_VERSION:
                if self._adapter is adapter:
                    self._adapter = None
                return True
            if problem.code == BYTES_OF_ANOTHER and self._session != session:
                # another call has sent keys meanwhile
                return True
            if problem.code == BYTES_OF_ANOTHER and self._keyed is not adapter:
                # keys that were made for another version may lack some of this one's
                self._evaluation_keys = None
                self._lost()
                return True
            if problem.code == NO_KEYS and self._evaluation_keys is not None and self._session == session:
                with suppress(_OtherKeys):
                    await self._send_rest(self._evaluation_keys, await self._state(session))
                return True
            if problem.code in (MISSING, NO_KEYS):
                if self._session != session:
                    return True
                try:
                    gone = not (await self._state(session))["ready"]
                except ServiceProblem as missing:
                    gone = missing.code == MISSING
                if gone:
                    await self._gone()
                return gone
        return False


def _session(value: Any) -> dict[str, Any]:
    with kept_to_protocol():
        of = Fields(value)
        if not SESSION_ID.fullmatch(of.text("id")):
            raise Wrong("its session has no name")
        checked = {"ready": of.flag("ready"), "coming": of.optional_text("coming"), "received": of.whole("received")}
        return {**of.values, **checked, "expires": of.number("expires")}
