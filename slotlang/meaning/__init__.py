"""Sizes bound, names resolved, shapes checked: from a syntax tree to a program with a meaning."""
