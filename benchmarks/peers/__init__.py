"""Other libraries on the same weights and inputs as ours: ``make bench-peers``."""
