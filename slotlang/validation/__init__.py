"""Validation of emitted modules: what they compute is proved to be what their programs say."""
