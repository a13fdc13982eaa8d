"""``python -m slotlang.recheck FILE``: exit status 0 when the certificate holds, 1 when not, 2 when it is none."""

import sys
from pathlib import Path

from . import Rejected, recheck

try: status, text = 0, "\n".join(["holds", *recheck(Path(sys.argv[-1]).read_bytes()).lines()])  # fmt: skip
except OSError as problem: status, text = 2, f"can't read it: {problem}"  # fmt: skip
except Rejected as problem: status, text = problem.args[2], f"{problem.args[1]}: {problem.args[0]}"  # fmt: skip
print(text)
sys.exit(status)
