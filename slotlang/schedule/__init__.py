"""How each sum and permutation is evaluated: primitive ciphertext operations with loops kept."""
