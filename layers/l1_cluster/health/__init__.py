"""Whether nodes are well: what is asked of them, and the pure judges of what they say."""
