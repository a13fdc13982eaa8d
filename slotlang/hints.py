"""What to do about an error where the place that raises it knows no better: one hint for each such code.

Every error ends with a way out. A raiser gives its own hint where it knows names and numbers; the hint here is for all
others of its code, so it holds at each of them, and names no option that only some commands have.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

HINTS: Mapping[str, str] = MappingProxyType(
    {
        "SL001": "check the path, and that you may read what is there",
        "SL002": "programs are UTF-8 text: check the path",
        "SL004": "write to a folder that exists and is yours, on a disk with room",
        "SL005": "--help of the command says what its options take",
        "SL101": "close each bracket by one of its kind, the last one that was opened first",
        "SL102": "write what is expected there, or leave out the rest of the statement",
        "SL103": "finish the statement: an operand, a bracket or what its keyword asks for is missing at its end",
        "SL107": "for example by bsgs(4), by doubling(2) or by tree",
        "SL111": "a definition is used with as many arguments as it has parameters",
        "SL115": "name parts in statements of their own, and use fewer definitions inside each other",
        "SL116": "name the expression in a statement above, and give that name",
        "SL118": "correct the path or that file, which holds definitions and imports alone",
        "SL119": "move what several files need into one that each of them imports",
        "SL205": "divide by what is made of sizes and constants, and is 1 or more at the sizes chosen",
        "SL206": "choose smaller sizes, constants or exponents",
        "SL207": "use a loop variable, a size or a constant here; digits stand in indices of tensors and in conditions",
        "SL209": "choose sizes with which it is 1 or more",
        "SL210": "choose sizes with which a vector has between 1 and 2^40 slots",
        "SL214": "choose sizes with which it holds, or change the requirement",
        "SL220": "give both sides shapes that fit: .T transposes a matrix, and other shapes are said by elements",
        "SL230": "for example perm p: (h, t) -> (t, h), with all digits of one axes statement, or perm p: slot -> ...",
        "SL231": "each slot goes to a slot of its own: (slot + k) % slots stays inside and meets nothing twice",
        "SL303": "give one index for each dimension",
        "SL304": "keep the index inside the family, by % or by a smaller extent",
        "SL305": "keep the index inside, by % or a smaller extent, or choose: (S[k - 1] if k > 0 else ...)",
        "SL309": "choose smaller sizes",
        "SL402": "write it as a sum of rotated and masked copies, or choose other sizes",
        "SL404": "choose fewer or smaller primes, or a larger degree",
        "SL405": "choose a larger degree, or sizes with fewer slots",
        "SL408": "give a key for each of these rotations, or for 1, of which all others are composed",
        "SL441": "slotlang calibrate -o FILE writes a profile of this machine",
        "SL445": "install what the message names: pip install tenseal",
        "SL451": "ask for a larger relative error, or fewer tokens",
        "SL461": "choose a value in the range that the message gives",
        "SL501": "give the folder that PEFT's save_pretrained wrote, whole and unchanged",
        "SL503": "modules are run whose update is scaling * B @ A @ x: train without this, or name other modules",
        "SL504": "modules are run whose update is scaling * B @ A @ x: slotlang adapter show DIR lists them",
        "SL505": 'save finite real numbers, a row per token: numpy.save("x.npy", x)',
        "SL523": "save finite real numbers by the program's names and in its shapes: numpy.savez(FILE, x=x, A=A)",
        "SL524": "give each result one module: RESULT=MODULE",
        "SL531": "scale the input down and the result up",
        "SL532": "scale the weights down and the result up",
        "SL533": "ask for the evaluation again; where it fails again, the server computes something else",
        "SL534": "scale the weights down and the result up",
        "SL541": "slotlang adapter equalize FILE writes exponents",
        "SL542": "take the same file of exponents for inputs and weights",
        "SL543": "make or send these bytes again",
        "SL544": "make keys, inputs and weights for one and the same module",
        "SL545": "lower the program again",
        "SL553": "write a JSON list of lists of modules that read one input, or leave it out",
        "SL554": "build for fewer tokens, or for other modules",
        "SL561": "build the adapter again: slotlang adapter build DIR -o FOLDER",
        "SL562": "build the adapter again: slotlang adapter build DIR -o FOLDER",
        "SL563": "use TLS (https), or an address of this machine's loopback, such as 127.0.0.1",
        "SL564": "choose a folder that exists and that you may write to",
        "SL565": "choose a free port, an address of this machine, and certificate files that you may read",
        "SL570": "set SLOTLANG_TOKEN, or name the file of the token with --token-file",
        "SL583": "attach modules of the model that the adapter was trained for; slotlang client modules lists them",
        "SL584": "start one with `dask scheduler`, and give the address that it prints",
        "SL585": "install the same slotlang on the worker's machine, and connect it by TLS",
        "SL586": "name ranks as 0,2,5; `slotlang adapter build --gates 1` makes an adapter whose ranks can be chosen",
        "SL704": "slotlang check FILE says what is wrong or not decided",
        "SL745": "lower the program again, and edit bodies of functions alone",
        "SL803": "free space on the disk, or write to another file",
    }
)
