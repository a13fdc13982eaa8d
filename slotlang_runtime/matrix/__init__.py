"""Matrix products: programs that only add ciphertexts up, each times a constant, evaluated on the residues."""
