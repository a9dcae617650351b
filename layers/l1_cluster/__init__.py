"""L1: from nodes to a working cluster."""
