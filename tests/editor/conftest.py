from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import count

import pytest
import pytest_lsp
from editor_client import COMMAND, Client, capabilities
from lsprotocol import types
from pygls.protocol import default_converter
from pytest_lsp import ClientServerConfig


def _client() -> Client:
    return Client(converter_factory=default_converter)


_NUMBERS = count(1)


@pytest.fixture
def small() -> str:
    """The name of a text that is no file, another one for every test."""
    return f"file:///no-such-folder/small-{next(_NUMBERS)}.slot"


# a server starts in about a second, and serves the tests of a module
@pytest_lsp.fixture(scope="module", config=ClientServerConfig(server_command=list(COMMAND), client_factory=_client))
async def client(lsp_client: Client) -> AsyncIterator[None]:
    params = types.InitializeParams(capabilities=capabilities(), process_id=None, root_uri=None)
    await lsp_client.initialize_session(params)
    yield
    await lsp_client.shutdown_session()
