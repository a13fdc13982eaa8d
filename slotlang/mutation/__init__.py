"""Single changes of a program, which measure the verifier and repair wrong programs."""
