"""Commands that take an option once: of two values, click would drop the first without a word."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from typer.core import TyperCommand

from slotlang.cli.output import guarded
from slotlang.diagnostics import error
from slotlang.files import STDIN_NAME

_OF_STDIN = re.compile(r"-:[A-Za-z_][A-Za-z_0-9]*")


class OnceCommand(TyperCommand):
    """A command that refuses a second value of an option that takes one (SL005)."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments, as click does; to click, ``-:name`` would be an option."""
        args = [f"{STDIN_NAME}{word[1:]}" if _OF_STDIN.fullmatch(word) else word for word in args]
        try:
            _, _, order = self.make_parser(ctx).parse_args(list(args))
        except Exception:
            # click says below what is wrong
            return super().parse_args(ctx, args)
        for option, times in Counter(order).items():
            name = max(option.opts, key=len, default="")
            takes_one = (
                option.param_type_name == "option" and not option.multiple and not getattr(option, "count", False)
            )
            if times > 1 and takes_one and not getattr(option, "is_flag", False):
                with guarded(self.name or "", "--json" in args):
                    message = f"{name} is given {'twice' if times == 2 else f'{times} times'}, and takes one value"
                    raise error("SL005", message, hint="run the command once for each value")
        return super().parse_args(ctx, args)
