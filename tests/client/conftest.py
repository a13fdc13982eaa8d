"""What tests of clients share."""

from __future__ import annotations

import pytest
from served import Process


@pytest.fixture(scope="module")
def alice(service: Process) -> str:
    """A token for the module's service."""
    return service.token("alice")
