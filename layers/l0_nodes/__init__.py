"""L0: what a node is, how to reach it, what is in it; the lab."""
