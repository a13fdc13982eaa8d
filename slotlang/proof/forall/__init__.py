"""Proofs for every value of some sizes at once; docs/for-all.md has the rules and why they hold."""
