"""A whole adapter built for a server: programs, their parameters and keys, and encoded weights in a folder."""
