"""Every diagnostic code with the text of ``slotlang explain CODE``.

SL0xx files and arguments, SL1xx syntax, SL2xx names and sizes, SL3xx layouts and expressions,
SL4xx lowering and parameters, SL5xx adapters, arrays and runs.
"""

from __future__ import annotations

EXPLANATIONS: dict[str, str] = {
    "SL001": """A file could not be read.

The path does not exist, is a folder, or may not be read by you.""",
    "SL002": """A program file is not text.

Programs are UTF-8 text. This file holds other bytes; most often the path is that of another file.""",
    "SL003": """A program file is too long.

Programs are short texts; a file of more than a megabyte is refused before it is parsed.""",
    "SL101": """A bracket is not closed, or closes nothing.

A statement may span lines inside parentheses or brackets, so an open bracket swallows the lines after it. The
message names the bracket where the trouble starts.""",
    "SL102": """A word or sign stands where it can't.

The label under the caret says what could stand there. Statements start with a keyword (`let`, `require`, `input`,
`weight`, `scalar`, `axes`, `cipher`, `plain`, `perm`, `claim`, `output`, `prove`) or with the name of a computed
family. Equality in `claim`, `prove` and conditions is `==`; definitions use `=`.""",
    "SL103": """A statement ends too early.

An operand or a bracket is missing at its end. A statement ends with its line unless a bracket is open.""",
    "SL104": """An expression is nested too deeply.

Name its parts in statements of their own.""",
    "SL105": """A word of the language is used as a name.

Choose another name. Reserved: the statement keywords and sum, by, where, else, and, or, not, conj, re, im,
permute, inverse, cycles, sparse, slot.""",
    "SL106": """Something after an operand is not known.

A read may be followed by `else 0` (zero outside the tensor) and a matrix by `.T` (its transpose).""",
    "SL107": """A sum's `by` is not known.

`by tree`, `by horner`, `by doubling` and `by bsgs(n)` pick how a sum is evaluated. They never change what it
means. Without `by` the terms are added in order.""",
    "SL108": """The program is empty.

A program starts with `program NAME(size = default, ...)`.""",
    "SL501": """An adapter folder could not be read.

A PEFT adapter is a folder that holds `adapter_config.json` and `adapter_model.safetensors`. One of them is
missing, is not a regular file, or is not valid JSON or safetensors (truncated downloads are the usual
cause). Fetch the adapter again, or point --adapter at the folder itself.""",
    "SL502": """An adapter does not hold the module that was asked for.

Modules are named by their path in the base model, such as `encoder.layer.0.attention.self.query`. A unique
suffix is enough. The message lists what the adapter holds.""",
    "SL503": """An adapter's configuration asks for something that is not supported or makes no sense.

`use_dora` rescales the columns of the sum of base weight and update, and `lora_bias` adds a bias to the update:
neither is A @ B @ x, so they are refused by name. Other reasons: a rank below 1, an alpha that is not a
number, a rank or alpha pattern that matches no module.""",
    "SL504": """The tensors of an adapter clash with its configuration or with each other.

`lora_A` must be (rank x d_in) and `lora_B` (d_out x rank) with the rank the configuration gives for that module,
in float32, float16, bfloat16 or float64, with finite values.""",
    "SL505": """An array of activations can't be used.

It must be a .npy file (no pickled objects) of real numbers, finite, with the shape of the program's input
tensor; a one-dimensional array stands for a single token.""",
    "SL506": """The program's sizes do not fit the weights.

The shapes of the adapter's matrices must be the shapes of the program's `weight` declarations at the sizes in
force. Set the sizes with --set, for example `--set d_in=384 --set d_out=1536 --set r=6`.""",
}
