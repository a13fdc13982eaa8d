"""Names of the primitives that a profile has times of, and what each time depends on."""

from __future__ import annotations

from collections.abc import Mapping

from slotlang_runtime.parameters import DOUBLE_BITS, LARGEST_PRIME, LAZY_BITS

PRIMITIVES: Mapping[str, str] = {
    "rotate": "rotate_vector into a new ciphertext; one key switch",
    "conjugate": "complex_conjugate into a new ciphertext; one key switch",
    "multiply_plain": "into a new ciphertext, each time with another plaintext",
    "dot": "a sum of products with plaintexts in one pass, besides its products",
    "dot_product": "each product of such a sum, besides its ciphertext",
    "dot_operand": "each ciphertext of such sums, read once for up to 8 sums in a row of the same ones",
    "multiply": "of two ciphertexts into a new one of three polynomials",
    "relinearize": "in place, of three polynomials; one key switch",
    "add": "of two ciphertexts into a new one",
    "add_inplace": "of another ciphertext each time",
    "sub": "of two ciphertexts into a new one",
    "negate": "into a new ciphertext",
    "add_plain": "into a new ciphertext, each time with another plaintext",
    "rescale": "rescale_to_next into a new ciphertext; the primes are those before it",
    "mod_switch": "mod_switch_to_next into a new ciphertext; the primes are those before it",
    "encode_real": "a plaintext of weights, a real vector, besides its slots; one of several here and below",
    "encode_real_slots": "what 256 of its slots take: a program with fewer slots than the ring has repeats its vectors",
    "encode_complex": "a vector of complex numbers, besides its slots",
    "encode_complex_slots": "what 256 of its slots take",
    "encode_constant": "one number for all slots",
    "encode_integer": "the same for an evaluation by matrix products; the number is that of weights",
    "mask_slots": "random numbers that hide half of the slots, as the evaluation adds them",
    "mask_precise": "the same so large that they are encoded with twice the digits of a double",
    "send_real": "encode, encrypt (seeded), and put among the inputs, besides the slots",
    "send_real_slots": "what 256 slots take",
    "send_complex": "the same of complex numbers",
    "send_complex_slots": "what 256 slots take",
    "receive": "take from the results, check, decrypt and decode",
    "receive_part": "the same, where half of c0 is sent for the real part",
    "receive_precise": "the same beside a mask that takes twice the digits, and so does decoding",
    "receive_cut": "the same of a result at one prime whose last bits were not sent",
    "load_input": "what a client sent, checked",
    "return_result": "of an evaluation, for each result, besides its operations",
    "save_ciphertext": "of a result, whole",
    "save_part": "of a result of which the real part is read: half of c0, and c1",
    "save_cut": "the same of a result at one prime, without its last bits",
    "request_encrypt": "what encrypting takes whatever the number of ciphertexts",
    "request_read": "the same of reading them",
    "request_evaluate": "the same of an evaluation, whatever the numbers of ciphertexts and operations",
    "request_mask": "the same of making masks",
    "request_save": "the same of writing results",
    "request_decrypt": "the same of decrypting them",
    "request_encode": "the same of encoding weights",
    "galois_key": "making one Galois key, seeded; primes are those of a fresh ciphertext here and below",
    "relin_key": "making the relinearisation key, seeded",
    "save_key": "one Galois key, making it included",
    "load_key": "one Galois key, checked",
    "gather": "reading one tensor at computed places with numpy; the number is that of slots here and below",
    "vector": "one numpy operation, of a sum and a product",
    "remainder": "one remainder of integers by numpy, which takes ten times as long",
    "array_call": "what each of the three takes besides, whatever the slots",
    "collect": "the slots of one decrypted result, put where an output has them",
    "tensor_product": "2^18 multiplications of a product of two matrices, writing an element counted as 64",
}
"""Names of the primitives, measured as emitted modules execute them."""

SLOT_BLOCK = 256
"""Slots whose time the primitives ``..._slots`` have."""

BY_SLOTS = ("gather", "vector", "remainder", "collect")
"""Primitives that are measured by number of slots in place of primes."""

FAR_MEGABYTE = "far_megabyte"
NEAR_MEGABYTES, FAR_MEGABYTES = 16, 64
"""Weights of so many megabytes are taken from the caches, as they are measured, and of so many from the
memory; between the two, part of them."""

BY_NUMBER = (
    "encode_integer",
    "array_call",
    "tensor_product",
    FAR_MEGABYTE,
    *(name for name in PRIMITIVES if name.startswith("request_")),
)
"""Primitives whose time depends on nothing but how often they are used."""

KEY_SWITCH: Mapping[str, str] = {
    "decompose": "the digits of one polynomial; primes are those of the ciphertext here and below",
    "key_product": "the digits, rotated or not, times a key, into a pending sum",
    "mod_down": "a pending sum, divided by the special prime",
}
"""The parts of a key switch, which compiled kernels execute apart (``slotlang.cost.key_switching``)."""

OF_KERNELS: Mapping[str, str] = {
    **KEY_SWITCH,
    FAR_MEGABYTE: "what a megabyte of weights takes beside the sums of products with them, where no cache holds it",
}
"""Primitives that compiled kernels alone have."""

KINDS_OF_KERNELS = (LARGEST_PRIME, DOUBLE_BITS, LAZY_BITS)
"""Bits of the largest prime that each kind of compiled kernels takes. A processor may have one kind for several."""
