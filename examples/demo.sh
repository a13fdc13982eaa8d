#!/bin/sh
# The main job, end to end: prove a packing, count it, lower it, and run it encrypted on real weights.
set -e
program=programs/lora.slot
adapter=examples/minilm_adapter
out=build/demo
mkdir -p "$out"

step() { printf '\n== %s\n$ %s\n' "$1" "$2"; sh -c "$2"; }

step "A packing is proved for any size" "slotlang check $program"
step "A mistake is shown, with the slot that is wrong (exit status 1)" \
    "slotlang check programs/seed/hoisted.slot || test \$? = 1"
step "What it costs" "slotlang cost $program"
step "An executable client and server" "slotlang lower $program -o $out/lora.py"
step "The emitted module alone, on random data" "python $out/lora.py"
step "Encrypted, on a real attention matrix (384 x 384, rank 6) and real activations" \
    "slotlang run $program --adapter $adapter --module layer.0.attention.self.value --activations $adapter/activations.npy"
step "The wide one (384 -> 1536, rank 16)" \
    "slotlang run $program --adapter $adapter --module layer.0.intermediate.dense --activations $adapter/activations.npy"
step "And back (1536 -> 384, rank 8)" \
    "slotlang run $program --adapter $adapter --module layer.0.output.dense --set pairs=4 --activations $adapter/activations_1536.npy"
printf '\nAll runs agree with numpy. %s holds the emitted module.\n' "$out/lora.py"
