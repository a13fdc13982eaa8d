"""Compiled kernels: what SEAL computes, in less time. They need numba."""
