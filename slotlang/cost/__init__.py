"""Counts and lower bounds."""
