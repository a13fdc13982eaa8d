"""Re-checks a proof from its certificate: ``python -m slotlang.recheck FILE``. It imports nothing else of slotlang.

The program's text is parsed by the grammar (``reader``) and has to keep the language's rules. Both sides of every claim
and output are expanded into terms (``program``, ``terms``): the certificate's must be these. Then isl shows that the
coefficients of both sides agree on the certificate's regions, and that these hold every product; or all products at all
slots are added up (``decision``). Trusted are these files, the grammar, lark, isl with its Python binding, and Python.
"""

from .decision import MAX_BYTES, Proof, by_products, certificate, image, recheck
from .reader import Rejected
from .terms import Extents, Terms, limited

__all__ = ["MAX_BYTES", "Extents", "Proof", "Rejected", "Terms"]
__all__ += ["by_products", "certificate", "image", "limited", "recheck"]
