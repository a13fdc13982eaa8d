"""The program's own part of an emitted module: packing, plaintexts, evaluate, unpacking and tables."""
