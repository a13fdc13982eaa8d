"""Single changes of a program: to measure the verifier by, and to find the one that repairs a wrong program."""
