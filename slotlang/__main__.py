"""``python -m slotlang``."""

from slotlang.cli import main

main()
