"""The unrolled dataflow graph, equal operations shared."""
