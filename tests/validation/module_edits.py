"""Edits of emitted modules with the answer that a check must give: of any part of any module.

``proved`` and ``refuted`` are edits of editable bodies with the same and with another meaning; ``unknown`` is what the
small language can't say, or what is not shown; a code is an edit of anything else, refused before anything is
interpreted; ``SL`` is any code. The first occurrence of a text becomes each of the new ones.
"""

from __future__ import annotations

from typing import TypeAlias

Edits: TypeAlias = tuple[str, list[tuple[str, str]]]
"""A text, and what it becomes, each with the answer."""

# fmt: off
GENERAL: list[Edits] = [
    ("FORMAT = 8", [
        ("FORMAT = 4", "SL744"),
        ("FORMAT = 6", "SL744"),
        ("FORMAT = True", "SL741"),
        ("FORMAT = 1 + 2", "SL741"),
    ]),
    ("FORMAT = 8\n", [
        ("", "SL741"),
    ]),
    ('RUNTIME = "', [
        ('RUNTIME = "0', "SL746"),
        ('RUNTIME = b"', "SL741"),
    ]),
    ("RUNTIME = ", [
        ("RUNTIME = str() or ", "SL741"),
    ]),
    ('"verdict": "proved"', [
        ('"verdict": "refuted"', "SL745"),
    ]),
    ('"method": "polyhedral"', [
        ('"method": "exact"', "SL745"),
    ]),
    ('"validated": True', [
        ('"validated": False', "SL745"),
        ('"validated": 1', "SL745"),
        ('"validated": True, "more": 1', "SL745"),
    ]),
    ('"by": "0.1.0"', [
        ('"by": "9.9.9"', "SL745"),
    ]),
    ("LOWERED = {", [
        ("LOWERED = dict() or {", "SL741"),
    ]),
    ("encrypted evaluation", [
        ("encrypted computation", "SL745"),
    ]),
    ("Validated: what", [
        ("Validated by me: what", "SL745"),
    ]),
    ("Hidden from the key holder", [
        ("Shown to the key holder", "SL745"),
    ]),
    ("SIZES = {", [
        ("SIZES = {**{}, ", "SL741"),
        ('SIZES = {"extra": 3, ', "SL"),
    ]),
    ("PROGRAM = (\n", [
        ("PROGRAM = (\n    1,\n", "SL741"),
    ]),
    ('    "program ', [
        ('    "program other_', "SL742"),
    ]),
    ("PROGRAM = (", [
        ("PROGRAM = print(", "SL741"),
    ]),
    ("KERNEL = ", [
        ("KERNEL = KERNEL = ", "SL741"),
        ('KERNEL = "gpu" or ', "SL741"),
    ]),
    ("SLOTS = 16", [
        ("SLOTS = 32", "SL745"),
        ("SLOTS = 1 / 0", "SL745"),
    ]),
    ("prime_bits=(60, 60, 60", [
        ("prime_bits=(60, 60, 60, 60, 60", "SL404"),
    ]),
    ("prime_bits=(60, ", [
        ("prime_bits=(61, ", "SL404"),
        ("prime_bits=[60, ", "SL741"),
    ]),
    ("    scale_bits=(", [
        ("    scale_bits=(55, ", "SL"),
        ("    scale_bits=(-", "SL741"),
    ]),
    ('hide="mask"', [
        ('hide="none"', "SL745"),
        ('hide="exact"', "SL745"),
        ('hide="all"', "SL741"),
    ]),
    ("doubled=()", [
        ('doubled=("Y",)', "SL745"),
        ('doubled=("nothing",)', "SL745"),
    ]),
    ("conjugation=False", [
        ("conjugation=True", "SL745"),
    ]),
    ("relinearization=False", [
        ("relinearization=True", "SL745"),
        ("relinearization=0", "SL741"),
    ]),
    ("rotations=(", [
        ("rotations=(1, 1, ", "SL745"),
        ("rotations=(99999, ", "SL745"),
    ]),
    ("routes={}", [
        ("routes={1: (2, 15)}", "SL"),
    ]),
    ("drops=(", [
        ("drops=(7, ", "SL"),
    ]),
    ("key_levels={}", [
        ("key_levels={3: 1}", "SL745"),
        ("key_levels={3: 0}", "SL745"),
        ("key_levels={3: -1}", "SL741"),
        ("key_levels=()", "SL741"),
    ]),
    ("results=0", [
        ("results=9", "SL404"),
        ("results=-1", "SL741"),
        ("results=(0,)", "SL741"),
    ]),
    ("cut=()", [
        ("cut=(60, 1)", "SL404"),
        ("cut=(1,)", "SL404"),
        ("cut=(-1, 1)", "SL741"),
        ("cut=1", "SL741"),
    ]),
    ("degree=", [
        ("degree=2*", "SL741"),
        ("degree=1", "SL404"),
    ]),
    ("    degree=", [
        ("    **{}, degree=", "SL741"),
    ]),
    ("PARAMETERS = Parameters(", [
        ("PARAMETERS = Other(", "SL741"),
        ("PARAMETERS = (lambda **o: Parameters(**o))(", "SL741"),
    ]),
    ("\nslot = np.arange(SLOTS)", [
        ("\nslot = np.arange(SLOTS)[::-1]", "SL745"),
        ("\nslot = np.arange(SLOTS)\nslot = slot[::-1]", "SL745"),
        ("\nslot = np.arange(SLOTS + 0)", "SL745"),
        ("\nslot = np.arange(SLOTS)  # a comment", "proved"),
        ("\nslot = (\n    np.arange(\n        SLOTS,\n    )\n)", "proved"),
        ("\nslot: object = np.arange(SLOTS)", "SL745"),
        ("\nslot = np.arange(SLOTS); h = slot", "SL745"),
    ]),
    ("\nh = slot // ", [
        ("\nh = slot % ", "SL745"),
    ]),
    ("\nd = ", [
        ("\nd = 2*", "SL745"),
        ("\nd = r = ", "SL745"),
        ("\n\n\n# sizes\nd = ", "proved"),
    ]),
    ("import numpy as np\n", [
        ("import numpy as np\nimport os\n", "SL745"),
        ("import numpy\nnp = numpy\n", "SL745"),
        ("import cupy as np\n", "SL745"),
        ("", "SL745"),
        ("import numpy as np\nprint('code of the module runs while it is checked')\n", "SL745"),
    ]),
    ("import sys\n", [
        ("import sys, os\n", "SL745"),
        ("import sys\nimport sys\n", "SL745"),
        ("from __future__ import annotations\nimport sys\n", "SL745"),
    ]),
    ("Packing, Parameters", [
        ("Parameters, Packing", "SL745"),
    ]),
    ("Results, main", [
        ("Results, element as np, main", "SL745"),
    ]),
    ("from slotlang_runtime import", [
        ("from slotlang_runtime2 import", "SL745"),
        ("from .slotlang_runtime import", "SL745"),
    ]),
    ('if __name__ == "__main__":', [
        ('slot[0] = 1\n\n\nif __name__ == "__main__":', "SL745"),
        ('MODULE.packing.clear()\n\n\nif __name__ == "__main__":', "SL745"),
        ('np.roll = lambda a, k: a\n\n\nif __name__ == "__main__":', "SL745"),
        ('if True:\n    slot = slot[::-1]\n\n\nif __name__ == "__main__":', "SL745"),
        ('for K in range(3):\n    pass\n\n\nif __name__ == "__main__":', "SL745"),
        ('while False:\n    pass\n\n\nif __name__ == "__main__":', "SL745"),
        ('try:\n    import slotlang_kernel\nexcept ImportError:\n    pass\n\n\nif __name__ == "__main__":', "SL745"),
        ('with open(\'x\', \'w\') as np:\n    pass\n\n\nif __name__ == "__main__":', "SL745"),
        ('class Module:\n    pass\n\n\nif __name__ == "__main__":', "SL745"),
        ('def main(module):\n    return 0\n\n\nif __name__ == "__main__":', "SL745"),
        ('def evaluate(ev, cipher, plain):\n    return {}\n\n\nif __name__ == "__main__":', "SL745"),
        ('async def evaluate(ev, cipher, plain):\n    return {}\n\n\nif __name__ == "__main__":', "SL745"),
        ('del MODULE\n\n\nif __name__ == "__main__":', "SL745"),
        ('assert slot.size\n\n\nif __name__ == "__main__":', "SL745"),
        ('(slot := None)\n\n\nif __name__ == "__main__":', "SL745"),
        ('global slot\n\n\nif __name__ == "__main__":', "SL741"),
        ('pass\n\n\nif __name__ == "__main__":', "SL745"),
        ('"""A string."""\n\n\nif __name__ == "__main__":', "SL745"),
        ('...\n\n\nif __name__ == "__main__":', "SL745"),
        ('evaluate.__code__ = reference.__code__\n\n\nif __name__ == "__main__":', "SL745"),
        ('globals()[\'h\'] = slot\n\n\nif __name__ == "__main__":', "SL745"),
        ('__builtins__ = {}\n\n\nif __name__ == "__main__":', "SL745"),
        ('def __getattr__(name):\n    return None\n\n\nif __name__ == "__main__":', "SL745"),
        ('# nothing but a comment\nif __name__ == "__main__":', "proved"),
        ("if __name__ == '__main__':", "proved"),
        ('if __name__ != "__main__":', "SL745"),
        ('if __name__ == "__main__" and slot:', "SL745"),
    ]),
    ("sys.exit(main(MODULE))", [
        ("sys.exit(0)", "SL745"),
        ("main(MODULE)", "SL745"),
        ("sys.exit(main(MODULE)); slot", "SL745"),
        ("sys.exit(main(MODULE))\nelse:\n    slot = slot + 1", "SL745"),
    ]),
    ("def evaluate(ev, cipher, plain):", [
        ("def evaluate(ev, plain, cipher):", "SL745"),
        ("def evaluate(ev, cipher, plain, kept={}):", "SL745"),
        ("def evaluate(ev, cipher, plain=None):", "SL745"),
        ("def evaluate(ev, cipher, plain, *more):", "SL745"),
        ("def evaluate(ev, cipher, *, plain):", "SL745"),
        ("def evaluate(ev, /, cipher, plain):", "SL745"),
        ("def evaluate(ev, cipher, plain, **more):", "SL745"),
        ("def evaluate(ev, cipher, plain: print('x')):", "SL745"),
        ("def evaluate(ev, cipher, plain) -> print('x'):", "SL745"),
        ("async def evaluate(ev, cipher, plain):", "SL745"),
        ("@staticmethod\ndef evaluate(ev, cipher, plain):", "SL745"),
        ("@print\ndef evaluate(ev, cipher, plain):", "SL745"),
        ("def evaluate2(ev, cipher, plain):", "SL745"),
        ("if True:\n  def evaluate(ev, cipher, plain):", "SL745"),
        ("def evaluate(ev, cipher, plain):\n    return {}\n\n\ndef evaluate(ev, cipher, plain):", "SL745"),
    ]),
    ("def pack_X(inputs", [
        ("def pack_X(weights", "SL745"),
        ("@print\ndef pack_X(inputs", "SL745"),
    ]),
    ("def plain_W(weights", [
        ("def plain_W(weights, kept=[]", "SL"),
    ]),
    ('    return {"', [
        ('    return {**{}, "', "SL745"),
    ]),
    ("def reference(inputs, weights):\n", [
        ("def reference(inputs, weights):\n    import os\n", "SL745"),
    ]),
    ("What the results should be", [
        ("What the results shall be", "SL745"),
    ]),
    ("MODULE = Module(", [
        ("MODULE = print(", "SL745"),
        ("MODULE = OTHER = Module(", "SL745"),
    ]),
    ("require(__name__, FORMAT, RUNTIME)", [
        ("require(__name__, FORMAT, RUNTIME) if slot else 0", "SL745"),
        ("require(__name__, 3, RUNTIME)", "SL745"),
        ("require(__name__, FORMAT, RUNTIME); import os", "SL745"),
        ("pass", "SL745"),
        ("", "SL745"),
    ]),
    ("    parameters=PARAMETERS,", [
        ("    parameters=PARAMETERS, kernel=KERNEL,", "SL"),
        ("    parameters=Parameters(**vars(PARAMETERS)),", "SL745"),
    ]),
    ('    name="', [
        ('    name="x', "SL745"),
    ]),
    ('program_hash="', [
        ('program_hash="0', "SL742"),
    ]),
    ("program_hash=", [
        ("program_hash=str() or ", "SL745"),
    ]),
    ("    slots=SLOTS,", [
        ("    slots=SLOTS + 0,", "SL745"),
    ]),
    ("inputs={", [
        ("inputs={**{}, ", "SL745"),
    ]),
    ('scalars=["scale"]', [
        ("scalars=[]", "SL745"),
    ]),
    ("packing={", [
        ("packing={**{}, ", "SL745"),
    ]),
    ("Packing(pack_X, ", [
        ("Packing(plain_W, ", "SL745"),
        ("Packing(lambda *a: pack_X(*a), ", "SL745"),
    ]),
    ("Plaintexts(plain_W, (2,", [
        ("Plaintexts(plain_W, (3,", "SL745"),
    ]),
    ("Plaintexts(plain_W, ", [
        ("Plaintexts(plain_V, ", "SL745"),
    ]),
    ("evaluate=evaluate,", [
        ("evaluate=reference,", "SL745"),
        ("evaluate=lambda ev, cipher, plain: evaluate(ev, cipher, plain),", "SL745"),
    ]),
    ("    reference=reference,", [
        ("    reference=evaluate,", "SL745"),
        ("    reference=reference,\n    prepare=dict,", "SL745"),
        ("    reference=reference,\n    patterns={},", "SL745"),
    ]),
    ('counts={"rotations": ', [
        ('counts={"rotations": 1', "SL745"),
    ]),
    ("sent={", [
        ("sent={**{}, ", "SL745"),
    ]),
    ("Results((", [
        ("Results((1, ", "SL745"),
    ]),
    ("outputs=[", [
        ("outputs=[*[], ", "SL745"),
    ]),
    ('"""', [
        ('# -*- coding: utf-8 -*-\n"""', "proved"),
        ('# -*- coding: utf-7 -*-\n"""', "SL741"),
        ('# vim: set fileencoding=latin-1 :\n"""', "SL741"),
        ('#!/usr/bin/env python\n# coding: utf_16\n"""', "SL741"),
    ]),
    ("MODULE = Module(", [
        ("MODULE = = Module(", "SL741"),
        ("MODULE = \x00Module(", "SL741"),
        ("MODULE = " + "(" * 3000 + "Module(", "SL741"),
        ("MODULE = " + "-" * 3000 + "Module(", "SL"),
    ]),
    ("result = {}\n", [
        ("result = {}\n    result = {}\n", "proved"),
    ]),
    ("    return result\n", [
        ("    return {**result}\n", "proved"),
        ("    return {}\n", "refuted"),
        ("    return None\n", "unknown"),
        ("    return cipher\n", "unknown"),
        ("    other = result\n    return other\n", "proved"),
        ('    result["Z", 0] = 1\n    return result\n', "refuted"),
        ("    yield result\n    return result\n", "unknown"),
        ("    return result\n    return result\n", "unknown"),
        ("    if False:\n        result = {}\n    return result\n", "unknown"),
        ("    print(result)\n    return result\n", "unknown"),
        ("    ev.kept = result\n    return result\n", "unknown"),
        ("    ev.counts.clear()\n    return result\n", "unknown"),
        ("    plain.clear()\n    return result\n", "unknown"),
        ("    slot = 0\n    return result\n", "proved"),
        ("    slot = slot + 1\n    return result\n", "refuted"),
        ("    slot += 1\n    return result\n", "unknown"),
        ("    slot[0] = 1\n    return result\n", "unknown"),
        ("    global slot\n    return result\n", "unknown"),
        ("    import os\n    return result\n", "unknown"),
        ("    def g():\n        return 1\n    return result\n", "unknown"),
        ("    class G:\n        pass\n    return result\n", "unknown"),
        ("    np = 3\n    return result\n", "proved"),
        ("    ev = 3\n    return result\n", "proved"),
        ("    del ev\n    return result\n", "proved"),
        ("    del result\n    return result\n", "refuted"),
        ("    a = [ev for ev in range(3)]\n    return result\n", "proved"),
        ("    a = SIZES\n    return result\n", "unknown"),
        ("    a = MODULE\n    return result\n", "unknown"),
        ("    a = sys\n    return result\n", "unknown"),
        ("    a = UNDEFINED\n    return result\n", "refuted"),
        ("    a = evaluate(ev, cipher, plain)\n    return result\n", "unknown"),
        ("    a = reference(cipher, plain)\n    return result\n", "unknown"),
        ("    a = [q for q in range(10**9)]\n    return result\n", "unknown"),
        ("    a = 1 // 0\n    return result\n", "refuted"),
        ('    a = """text"""\n    return result\n', "proved"),
    ]),
    ("The schedule: ciphertexts", [
        ("The plan: ciphertexts", "proved"),
    ]),
    ('    """The schedule', [
        ('    # no docstring\n    "The schedule" """', "proved"),
    ]),
]
"""For every module with 16 slots and a scalar."""
