"""Every diagnostic code with the text of ``slotlang explain CODE``.

SL0xx files and arguments, SL1xx syntax, SL2xx names and sizes, SL3xx layouts and expressions,
SL4xx lowering and parameters, SL5xx adapters, arrays and runs.
"""

from __future__ import annotations

EXPLANATIONS: dict[str, str] = {
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
