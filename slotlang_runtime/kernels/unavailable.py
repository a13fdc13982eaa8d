"""Why kernels can't be used."""


class Unavailable(Exception):
    """The reason, as the end of a sentence: SEAL's operations are used in their place."""
