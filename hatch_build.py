"""What hatchling asks when it builds a wheel: the pages of docs/ go into it, for ``slotlang docs``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Pages(BuildHookInterface):  # type: ignore[type-arg]
    """docs/*.md as slotlang/docs/*.md. An editable install reads them where they are."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Before the build; ``version``: standard or editable."""
        if version == "editable":
            return
        for path in sorted((Path(self.root) / "docs").glob("*.md")):
            build_data["force_include"][str(path)] = f"slotlang/docs/{path.name}"
