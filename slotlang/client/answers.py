"""What an answer of a service must be, and how much of it is held: never more than was expected, whatever it sends."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from slotlang.client.problems import UNREACHABLE, ServiceProblem, kept_to_protocol, otherwise, said, told
from slotlang.service.problems import BUSY
from slotlang.service.protocol import HEADER, VERSION, Frames
from slotlang_runtime.amounts import count_of
from slotlang_runtime.wire import Box

MOST_JSON, MOST_CLIENT = 1 << 24, 1 << 27
"""Bytes of a list of a tenant's sessions, and of what a client needs of an adapter."""
_MOST_ERROR = 1 << 16
"""Bytes that are read of a refusal."""


class Held:
    """The body of an answer as it comes: at most ``most`` bytes, and the first ones of a refusal. Raises
    ``ServiceProblem`` SL581 for more, and for bytes that were compressed: nobody knows how many they would become."""

    def __init__(self, status: int, headers: Mapping[str, str], most: int) -> None:
        self._refused = status >= 300
        encoding = headers.get("content-encoding", "").strip().lower()
        encoded = encoding not in ("", "identity")
        if encoded and not self._refused:
            hint = "a proxy before the service must not compress its answers"
            raise otherwise(f"it is compressed ({encoding:.40}), and the request asked for none of that", hint)
        self._most = (0 if encoded else _MOST_ERROR) if self._refused else most
        self._data = bytearray()

    def take(self, piece: bytes) -> bool:
        """Hold a piece. Whether more is wanted."""
        room = self._most - len(self._data)
        if len(piece) > room and not self._refused:
            raise too_long(self._most)
        self._data += piece[:room]
        return not self._refused or len(piece) < room

    def body(self) -> bytes:
        """What was held."""
        return bytes(self._data)


def held(status: int, headers: Mapping[str, str], pieces: Iterable[bytes], most: int) -> bytes:
    """The body of an answer, as ``Held`` has it."""
    body = Held(status, headers, most)
    for piece in pieces:
        if not body.take(piece):
            break
    return body.body()


def too_long(most: int) -> ServiceProblem:
    """An answer has more bytes than it can have."""
    return otherwise(f"it has more than {count_of(most, 'byte')}, which is the most that it can have")


def checked(status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Raise ``ServiceProblem`` for a refusal, and for an answer of another protocol."""
    if status >= 300:
        raise told(status, _parsed(body), headers)
    if headers.get(HEADER) != str(VERSION):
        raise otherwise(f"it does not say that it speaks version {VERSION} of the protocol")


def json_of(status: int, headers: Mapping[str, str], body: bytes) -> Any:
    """The JSON of an answer; None of one without a body. Raises ``ServiceProblem``."""
    checked(status, headers, body)
    if not body:
        return None
    if (found := _parsed(body)) is None:
        raise otherwise("it is not JSON")
    return found


def _parsed(body: bytes) -> Any:
    try:
        found = json.loads(body)
        # JSON can write halves of characters, which have no bytes: nobody could print or send them
        json.dumps(found, ensure_ascii=False).encode()
        return found
    except (ValueError, RecursionError):
        return None


def parts(count: int, most: int, status: int, headers: Mapping[str, str], pieces: Iterator[bytes]) -> list[Box]:
    """The parts of an answer to a request for evaluation, at most this many, of ``most`` bytes together. Raises
    ``ServiceProblem``."""
    if status != 200:
        checked(status, headers, held(status, headers, pieces, 0))
    checked(status, headers, b"")
    Held(status, headers, most)
    frames, answers, ended, size = Frames(most), list[Box](), False, 0
    # to the last byte, so that the next request takes the same connection
    for piece in pieces:
        size += len(piece)
        if size > most:
            raise too_long(most)
        with kept_to_protocol():
            complete = frames.take(piece)
        for kind, box in complete:
            if ended:
                raise otherwise("something follows its end")
            match kind:
                case "problem":
                    raise said(box.label, again=box.label.get("code") == BUSY)
                case "end":
                    ended = True
                case _:
                    answers.append(box)
            if len(answers) > count:
                raise otherwise("it has more parts than were asked for")
    if not ended:
        raise ServiceProblem(UNREACHABLE, "the answer ended too early", again=True)
    return answers
