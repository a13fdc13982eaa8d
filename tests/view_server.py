"""Many views in one process, for tests in a browser: what ``slotlang view`` and ``slotlang puzzle view`` serve.

Each line of standard input is a JSON object with ``file``, ``sizes`` and ``puzzle``; the address of its view is written
to standard output. Each view has a port, a token and an event loop of its own; the process that their workers are
forked from, which takes long to start, is shared. It ends with standard input."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path


def main() -> None:
    # workers import this module: what a server needs is not for them
    from slotlang.page.server import Viewed, serve

    for line in sys.stdin:
        asked = json.loads(line)
        viewed = Viewed(Path(asked["file"]), None, asked["sizes"], asked["puzzle"])
        threading.Thread(target=serve, args=(viewed, 0, lambda said: print(said, flush=True)), daemon=True).start()


if __name__ == "__main__":
    main()
