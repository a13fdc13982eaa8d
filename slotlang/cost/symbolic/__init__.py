"""Counts as formulas in the sizes of a program."""
