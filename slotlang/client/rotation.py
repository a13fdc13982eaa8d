"""How a session's secret key is replaced, and how sessions end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from slotlang.client.adapter import Crypto
from slotlang.client.kept import alone, remembered
from slotlang.client.keyed import Keyed, briefly, call
from slotlang.client.problems import ServiceProblem
from slotlang.client.secrets import absent, name_of, read_secret, write_secret
from slotlang_runtime.client import SecretKey


class Rotating(Keyed):
    """A session without updates, whose keys can be replaced."""

    @call
    async def rotate(self) -> dict[str, Any]:
        """A new secret key, and a new session with evaluation keys for it, in the place of the present ones, which may
        be of another ring. The keys of a session never change: whoever goes on with the old one, from the same file in
        another process, has right updates until it ends, and then takes the new key from the file."""
        async with alone(self._file):
            return await self._anew(self._rotated)

    async def _rotated(self) -> dict[str, Any]:
        """The new session."""
        async with self._lock:
            if self._secret is None and self._file is not None:
                with suppress(FileNotFoundError):
                    # what is replaced is a secret key
                    await self._worked(read_secret, self._file)
            adapter = await self._known()
            # all of the file's, whatever adapter they are for: it has another key then
            old = self._with_present([] if self._file is None else remembered(self._file, self.url))
            secret = await self._worked(SecretKey, adapter.ring)
            crypto = Crypto(adapter, secret)
            keys = await self._worked(crypto.evaluation_keys)
            try:
                state = await self._sessions.new(adapter.name, keys)
                self._remember(adapter, state["id"], secret)
                async with self._about(state["id"]):
                    state = await self._sessions.send_rest(keys, state)
                if self._file is not None:
                    write_secret(self._file, secret)
            except (Exception, asyncio.CancelledError):
                # the answer that names it may never have come
                await briefly(self._end_with(keys))
                raise
            if self._file is not None:
                # whoever read the old key before it was replaced may have made a session meanwhile
                later = remembered(self._file, self.url)
                of_new = remembered(self._file, self.url, key=name_of(secret))
                old = list(dict.fromkeys([*old, *(name for name in later if name not in of_new)]))
            self._secret, self._given = secret, None
            self._crypto, self._evaluation_keys = crypto, keys
            self._has_keys(adapter, state["id"])
            try:
                # what stays is written down, or expires
                with suppress(ServiceProblem):
                    await self._end_all(old)
                    # of a request that was sent again, each may have made one
                    await self._end_with(keys, but=state["id"])
            except asyncio.CancelledError:
                await briefly(self._end_all(old))
                raise
            return state

    def _with_present(self, sessions: Iterable[str]) -> list[str]:
        return list(dict.fromkeys([*sessions, *([] if self._session is None else [self._session])]))

    async def _end_all(self, sessions: Iterable[str]) -> None:
        for name in sessions:
            await self._ended(name)

    async def _end_with(self, keys: bytes, but: str | None = None) -> None:
        """End the sessions that have these keys or wait for them."""
        await self._end_all(name for name in await self._sessions.with_keys(keys) if name != but)

    @call
    async def end(self) -> bool:
        """End the session at the service, and all others of the file's secret key for this adapter: it deletes the
        keys. Whether there was a session, as far as is known here. Raises ``SlotError`` SL582 for a file that has
        neither a key nor a session."""
        async with self._lock:
            if self._file is not None and not self._with_present(remembered(self._file, self.url)):
                try:
                    await self._worked(read_secret, self._file)
                except FileNotFoundError:
                    raise absent(self._file) from None
            names = list[str]()
            if self._file is not None:
                names = remembered(self._file, self.url, self.model or (await self._known()).name)
            names = self._with_present(names)
            await self._end_all(names)
            self._session = None
            return bool(names)
