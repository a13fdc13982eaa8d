"""Parameters, keys, hiding and kernels: one plan of what runs, for one target."""
