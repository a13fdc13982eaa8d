"""Where the words of a box stand, by which threads share the work of a kernel (``sharing.py``): each in a line of the
cache of its own, so that threads which write different ones do not wait for each other."""

CLAIM, FUNCTION, BLOCK, DONE, OPEN = (8 * n for n in range(5))
WORDS = 40
"""Words of a box."""
