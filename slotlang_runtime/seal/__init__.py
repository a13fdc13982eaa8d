"""TenSEAL's calls: rings, objects to and from bytes, and the operations that every other backend is compared with."""
