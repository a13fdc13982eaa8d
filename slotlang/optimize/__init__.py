"""Programs rewritten into cheaper ones that mean the same: rules propose, the cost model ranks, the proof decides."""
