"""Compiled kernels: the same results as SEAL's operations, in less time. They need numba."""
