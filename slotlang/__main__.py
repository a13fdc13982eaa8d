"""``python -m slotlang``."""

try:
    from slotlang.cli import main

    main()
except KeyboardInterrupt:
    raise SystemExit(130) from None
